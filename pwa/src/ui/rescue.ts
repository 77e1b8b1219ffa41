// The last resort: everything that this device's store holds, as one file, without the core. Reads only.

type Dump = Record<string, { key: string; value: unknown }[]>;

/** A file with every row, draft and description of a photo; bytes are written in Base64. */
export async function rescueFile(): Promise<Blob> {
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open('daybook');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const dump: Dump = {};
  for (const store of ['rows', 'drafts', 'photos']) {
    if (!database.objectStoreNames.contains(store)) continue;
    const from = database.transaction(store).objectStore(store);
    const [keys, values] = await Promise.all([all(from.getAllKeys()), all(from.getAll() as IDBRequest<unknown[]>)]);
    dump[store] = keys.map((key, index) => ({ key: String(key), value: plain(values[index]) }));
  }
  database.close();
  return new Blob([JSON.stringify({ daybook: 'store', at: new Date().toISOString(), stores: dump })]);
}

/** Hands a file to the person. */
export function offer(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

function all<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function plain(value: unknown): unknown {
  if (!(value instanceof Uint8Array)) return value;
  let bytes = '';
  for (const byte of value) bytes += String.fromCharCode(byte);
  return { base64: btoa(bytes) };
}
