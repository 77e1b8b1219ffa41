// The one place that opens IndexedDB: a flat key-value store for the core, drafts, photos, and the driver's
// own notes. Every write is one transaction with strict durability. Knows nothing of what the rows mean.

import type { Draft, PhotoInfo } from './messages.ts';

const NAME = 'daybook';
const VERSION = 1;

export type Row = [string, Uint8Array];
export type Write = { puts: Row[]; deletes: string[] };

/** Says that another tab has become the writer in the meantime; nothing was written. */
export class FencedError extends Error {}

type StoredPhoto = { info: PhotoInfo; blob: Blob };

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('request failed'));
  });
}

function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('aborted'));
    transaction.onerror = () => reject(transaction.error ?? new Error('failed'));
  });
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      for (const name of ['rows', 'drafts', 'photos', 'driver']) request.result.createObjectStore(name);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('cannot open'));
  });
}

/** The phone's disk. */
export class PhoneStore {
  private database: Promise<IDBDatabase> | null = null;
  private epoch = 0;

  private connection(): Promise<IDBDatabase> {
    this.database ??= open().then((database) => {
      const forget = () => {
        database.close();
        this.database = null;
      };
      database.onclose = forget;
      database.onversionchange = forget;
      return database;
    });
    this.database.catch(() => {
      this.database = null;
    });
    return this.database;
  }

  /** Begins a transaction; a connection that the browser has dropped is opened again once. */
  private async begin(names: string[], mode: IDBTransactionMode): Promise<IDBTransaction> {
    try {
      return (await this.connection()).transaction(names, mode, { durability: 'strict' });
    } catch {
      this.database = null;
      return (await this.connection()).transaction(names, mode, { durability: 'strict' });
    }
  }

  /** Makes this tab the writer: from here on a write of any earlier writer is refused by the store itself. */
  async claim(): Promise<void> {
    const transaction = await this.begin(['driver'], 'readwrite');
    const driver = transaction.objectStore('driver');
    const last: unknown = await settled(driver.get('epoch'));
    this.epoch = (typeof last === 'number' ? last : 0) + 1;
    driver.put(this.epoch, 'epoch');
    await committed(transaction);
  }

  /** All rows of the core. */
  async rows(): Promise<{ keys: string[]; values: Uint8Array[] }> {
    const rows = (await this.begin(['rows'], 'readonly')).objectStore('rows');
    const [keys, values] = await Promise.all([settled(rows.getAllKeys()), settled(rows.getAll())]);
    return { keys: keys.map(String), values: values as Uint8Array[] };
  }

  /**
   * Writes one transaction of the core and, in the same transaction, which intents of which tabs it holds:
   * if the writer dies between the commit and its answer, the tab asks again and the next writer knows.
   */
  async write(write: Write, intents: Map<string, number>): Promise<void> {
    const transaction = await this.begin(['rows', 'driver'], 'readwrite');
    const done = committed(transaction);
    const driver = transaction.objectStore('driver');
    const rows = transaction.objectStore('rows');
    let fenced = false;
    const check = driver.get('epoch');
    check.onsuccess = () => {
      if (check.result !== this.epoch) {
        fenced = true;
        transaction.abort();
        return;
      }
      for (const key of write.deletes) rows.delete(key);
      for (const [key, value] of write.puts) rows.put(value, key);
      for (const [tab, n] of intents) driver.put({ n, at: Date.now() }, `intent/${tab}`);
      transaction.commit();
    };
    try {
      await done;
    } catch (failure) {
      if (fenced) throw new FencedError();
      throw failure;
    }
  }

  /** The last intent of each tab that is on disk; forgets tabs that were silent for a day. */
  async intents(): Promise<Map<string, number>> {
    const transaction = await this.begin(['driver'], 'readwrite');
    const driver = transaction.objectStore('driver');
    const range = IDBKeyRange.bound('intent/', 'intent/\uffff');
    const [keys, values] = await Promise.all([settled(driver.getAllKeys(range)), settled(driver.getAll(range))]);
    const intents = new Map<string, number>();
    keys.forEach((key, index) => {
      const value = values[index] as { n: number; at: number };
      if (Date.now() - value.at > 86_400_000) driver.delete(key);
      else intents.set(String(key).slice('intent/'.length), value.n);
    });
    await committed(transaction);
    return intents;
  }

  /** A note of the driver. */
  async note(key: string): Promise<unknown> {
    return settled((await this.begin(['driver'], 'readonly')).objectStore('driver').get(key));
  }

  /** Keeps a note of the driver. */
  async putNote(key: string, value: unknown): Promise<void> {
    const transaction = await this.begin(['driver'], 'readwrite');
    transaction.objectStore('driver').put(value, key);
    await committed(transaction);
  }

  /** Keeps a draft. Any tab may: drafts belong to no writer. */
  async putDraft(draft: Draft): Promise<void> {
    const transaction = await this.begin(['drafts'], 'readwrite');
    transaction.objectStore('drafts').put(draft, draft.id);
    await committed(transaction);
  }

  /** Forgets a draft. */
  async deleteDraft(id: string): Promise<void> {
    const transaction = await this.begin(['drafts'], 'readwrite');
    transaction.objectStore('drafts').delete(id);
    await committed(transaction);
  }

  /** All drafts. */
  async drafts(): Promise<Draft[]> {
    return settled((await this.begin(['drafts'], 'readonly')).objectStore('drafts').getAll()) as Promise<Draft[]>;
  }

  /** Keeps a photo under its hash. */
  async putPhoto(info: PhotoInfo, blob: Blob): Promise<void> {
    const transaction = await this.begin(['photos'], 'readwrite');
    transaction.objectStore('photos').put({ info, blob } satisfies StoredPhoto, info.sha256);
    await committed(transaction);
  }

  /** A photo's bytes, if they are on this device. */
  async photo(sha256: string): Promise<Blob | null> {
    const photos = (await this.begin(['photos'], 'readonly')).objectStore('photos');
    const stored = (await settled(photos.get(sha256))) as StoredPhoto | undefined;
    return stored?.blob ?? null;
  }

  /** All photos kept here. */
  async photos(): Promise<PhotoInfo[]> {
    const photos = (await this.begin(['photos'], 'readonly')).objectStore('photos');
    const stored = (await settled(photos.getAll())) as StoredPhoto[];
    return stored.map((photo) => photo.info);
  }

  /** Erases everything of this device, after the person said so. */
  async erase(): Promise<void> {
    const transaction = await this.begin(['rows', 'drafts', 'photos', 'driver'], 'readwrite');
    for (const name of ['rows', 'drafts', 'photos']) transaction.objectStore(name).clear();
    transaction.objectStore('driver').delete('session');
    await committed(transaction);
  }
}
