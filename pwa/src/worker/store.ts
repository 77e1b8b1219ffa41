// The one place that opens IndexedDB: a flat key-value store for the core, drafts, photos, and the driver's
// own notes. Every write is one transaction with strict durability. Knows nothing of what the rows mean.

import type { Draft, OwnPhoto, PhotoInfo } from './messages.ts';

const NAME = 'daybook';
const VERSION = 3;
const BALLAST = 'ballast';
const STORES = ['rows', 'drafts', 'photos', 'driver', 'originals', 'thumbs', BALLAST];
/** More than the 4 MiB that Chromium writes into one log, in values that it does not put into files of their own. */
const BALLAST_TRANSACTIONS = 11;
/** See [`BALLAST_TRANSACTIONS`]. */
const BALLAST_ROWS = 8;
/** See [`BALLAST_TRANSACTIONS`]. */
const BALLAST_BYTES = 48 * 1024;

export type Row = [string, Uint8Array];
export type Write = { puts: Row[]; deletes: string[] };

/** Says that another tab has become the writer in the meantime; nothing was written. */
export class FencedError extends Error {}

/** Says that the browser has cleared this device's storage under the running app; nothing was written. */
export class WipedError extends Error {}

/** A photo's bytes, and when they were last put or looked at. */
type StoredBytes = { blob: Blob; used: number };

/** A photo as it comes from the camera: in full and small. */
export type Shot = { info: PhotoInfo; blob: Blob; thumb: Blob };

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
    request.onupgradeneeded = (event) => {
      for (const name of STORES) {
        if (!request.result.objectStoreNames.contains(name)) request.result.createObjectStore(name);
      }
      if (event.oldVersion === 1 && request.transaction !== null) separateBytes(request.transaction);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('cannot open'));
  });
}

/** Version 1 kept a photo's bytes beside its description; every photo in it is unsent. */
function separateBytes(transaction: IDBTransaction): void {
  const photos = transaction.objectStore('photos');
  const cursor = photos.openCursor();
  cursor.onsuccess = () => {
    const at = cursor.result;
    if (at === null) return;
    const { info, blob } = at.value as { info: PhotoInfo & { visit: string }; blob: Blob };
    const { visit, ...plain } = info;
    const photo: OwnPhoto = { info: plain, visits: [visit], state: 'draft', added: Date.now() };
    at.update(photo);
    transaction.objectStore('originals').put({ blob, used: Date.now() } satisfies StoredBytes, plain.sha256);
    at.continue();
  };
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

  /**
   * Makes Chromium put everything into a table and begin a new log. It goes on behind the torn end that a killed
   * process may have left in the old one, and finds what it wrote there damaged when it opens it next: then it
   * deletes every database of the origin (PWA-19). Nothing depends on when this is done, or whether it fails.
   */
  async renewLog(): Promise<void> {
    const database = await this.connection();
    const nothing = new Uint8Array(BALLAST_BYTES);
    for (let times = 0; times < BALLAST_TRANSACTIONS; times += 1) {
      const full = database.transaction([BALLAST], 'readwrite');
      for (let row = 0; row < BALLAST_ROWS; row += 1) full.objectStore(BALLAST).put(nothing, row);
      await committed(full);
      const empty = database.transaction([BALLAST], 'readwrite');
      for (let row = 0; row < BALLAST_ROWS; row += 1) empty.objectStore(BALLAST).delete(row);
      await committed(empty);
    }
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
    let refused: Error | null = null;
    const check = driver.get('epoch');
    check.onsuccess = () => {
      if (check.result !== this.epoch) {
        refused = check.result === undefined ? new WipedError() : new FencedError();
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
      throw refused ?? failure;
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

  /** Keeps a photo of a visit, with its bytes: one transaction, so that a photo without bytes cannot be. */
  async addPhoto(shot: Shot, visit: string): Promise<void> {
    const transaction = await this.begin(['photos', 'originals', 'thumbs'], 'readwrite');
    const photos = transaction.objectStore('photos');
    const sha256 = shot.info.sha256;
    const known = photos.get(sha256);
    known.onsuccess = () => {
      const before = known.result as OwnPhoto | undefined;
      const visits = [...new Set([...(before?.visits ?? []), visit])];
      const photo: OwnPhoto = before ?? { info: shot.info, visits, state: 'draft', added: Date.now() };
      photos.put({ ...photo, visits } satisfies OwnPhoto, sha256);
      const bytes: StoredBytes = { blob: shot.blob, used: Date.now() };
      transaction.objectStore('originals').put(bytes, sha256);
      transaction.objectStore('thumbs').put({ blob: shot.thumb, used: Date.now() } satisfies StoredBytes, sha256);
    };
    await committed(transaction);
  }

  /** Changes what is known of a photo; `null` forgets it and its bytes. */
  async changePhoto(sha256: string, change: (photo: OwnPhoto) => OwnPhoto | null): Promise<void> {
    const transaction = await this.begin(['photos', 'originals', 'thumbs'], 'readwrite');
    const photos = transaction.objectStore('photos');
    const known = photos.get(sha256);
    known.onsuccess = () => {
      if (known.result === undefined) return;
      const after = change(known.result as OwnPhoto);
      if (after !== null) photos.put(after, sha256);
      else for (const name of ['photos', 'originals', 'thumbs']) transaction.objectStore(name).delete(sha256);
    };
    await committed(transaction);
  }

  /** Another form shows a photo of this device: it is that form's, too, and sent again if its bytes are here. */
  async showPhotoIn(sha256: string, visit: string): Promise<void> {
    const has_bytes = (await this.bytes(sha256, 'originals')) !== null;
    await this.changePhoto(sha256, (photo) => ({
      ...photo,
      visits: [...new Set([...photo.visits, visit])],
      state: has_bytes && photo.state === 'sent' ? 'draft' : photo.state,
    }));
  }

  /** A photo's bytes, if they are on this device. */
  async bytes(sha256: string, size: 'thumbs' | 'originals'): Promise<Blob | null> {
    const store = (await this.begin([size], 'readonly')).objectStore(size);
    return ((await settled(store.get(sha256))) as StoredBytes | undefined)?.blob ?? null;
  }

  /** Keeps the bytes of somebody else's photo, to be looked at without a network. */
  async keepSeen(sha256: string, blob: Blob, thumb: Blob): Promise<void> {
    const transaction = await this.begin(['originals', 'thumbs'], 'readwrite');
    const used = Date.now();
    transaction.objectStore('originals').put({ blob, used } satisfies StoredBytes, sha256);
    transaction.objectStore('thumbs').put({ blob: thumb, used } satisfies StoredBytes, sha256);
    await committed(transaction);
  }

  /** Drops the oldest bytes of one size beyond `max`, sparing those of unsent photos. */
  async evict(size: 'thumbs' | 'originals', max: number): Promise<void> {
    const transaction = await this.begin(['photos', size], 'readwrite');
    const done = committed(transaction);
    const store = transaction.objectStore(size);
    const [photos, keys, values] = await Promise.all([
      settled(transaction.objectStore('photos').getAll()) as Promise<OwnPhoto[]>,
      settled(store.getAllKeys()),
      settled(store.getAll()) as Promise<StoredBytes[]>,
    ]);
    const unsent = new Set(photos.filter((photo) => photo.state !== 'sent').map((photo) => photo.info.sha256));
    const spare = keys
      .map((key, index) => ({ key: String(key), used: values[index]?.used ?? 0 }))
      .filter(({ key }) => !unsent.has(key))
      .sort((one, other) => other.used - one.used);
    for (const { key } of spare.slice(max)) store.delete(key);
    await done;
  }

  /** All photos of this device's own visits. */
  async photos(): Promise<OwnPhoto[]> {
    const photos = (await this.begin(['photos'], 'readonly')).objectStore('photos');
    return settled(photos.getAll()) as Promise<OwnPhoto[]>;
  }

  /** Erases everything of this device, after the person said so. */
  async erase(): Promise<void> {
    const transaction = await this.begin(STORES, 'readwrite');
    for (const name of STORES) if (name !== 'driver') transaction.objectStore(name).clear();
    for (const note of ['session', 'leaving']) transaction.objectStore('driver').delete(note);
    await committed(transaction);
  }

  /** Erases what the core does not keep, for another person on this device. */
  async eraseForms(): Promise<void> {
    const names = ['drafts', 'photos', 'originals', 'thumbs'];
    const transaction = await this.begin(names, 'readwrite');
    for (const name of names) transaction.objectStore(name).clear();
    await committed(transaction);
  }
}
