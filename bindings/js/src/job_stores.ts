// job_stores.ts: stores of submissions that need no file system: memory, a browser's IndexedDB, key-value stores.
//
// All three keep the records of a submission as pieces under the place at which each begins, so that a piece which follows
// nothing is none of them.

import type { JobStore } from './job_types.js';
import type { MaybePromise } from './types.js';

/** A place in a list of records, so that texts sort as numbers. */
const placed = (at: number): string => String(at).padStart(15, '0');

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** Locks within this realm, and across realms where it has navigator.locks. */
const held = new Set<string>();

async function locked(name: string, isShared: boolean): Promise<(() => void) | undefined> {
  if (held.has(name)) return undefined;
  held.add(name);
  const locks = isShared ? (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks : undefined;
  if (!locks) return () => void held.delete(name);
  return new Promise((resolve, reject) => {
    locks.request(name, { ifAvailable: true }, (lock) => {
      if (!lock) {
        held.delete(name);
        resolve(undefined);
        return undefined;
      }
      return new Promise<void>((release) => resolve(() => {
        held.delete(name);
        release();
      }));
    }).catch((error: unknown) => {
      held.delete(name);
      reject(error as Error);
    });
  });
}

// ---- Anything with keys and values ----

/** What is asked of a key-value store: the shape of Cloudflare's KV. `list` answers names in their order. */
export interface KeyValues {
  get(key: string, type: 'arrayBuffer'): MaybePromise<ArrayBuffer | Uint8Array | null | undefined>;
  put(key: string, value: Uint8Array): MaybePromise<unknown>;
  delete(key: string): MaybePromise<unknown>;
  list(options: { prefix: string; cursor?: string }): MaybePromise<{ keys: { name: string }[]; list_complete?: boolean; cursor?: string }>;
}

export interface KvStoreOptions {
  /** In front of every key; `sheaf/`. */
  prefix?: string;
  /** The longest value, in bytes; 8 MiB. Cloudflare's KV takes 25 MiB, Deno's 64 KiB. */
  partBytes?: number;
}

/** A key-value store with the calls of Cloudflare's KV. It has no locks: one at a time may look after a submission. */
export function kvStore(kv: KeyValues, { prefix = 'sheaf/', partBytes = 8 << 20 }: KvStoreOptions = {}): JobStore {
  const keyOf = (id: string, name: string): string => `${prefix}${encodeURIComponent(id)}/${name}`;
  const names = async (under: string): Promise<string[]> => {
    const found: string[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await kv.list(cursor === undefined ? { prefix: under } : { prefix: under, cursor });
      found.push(...page.keys.map(({ name }) => name));
      if (page.list_complete !== false || page.cursor === undefined) return found.sort();
      cursor = page.cursor;
    }
  };
  const bytesOf = async (key: string): Promise<Uint8Array | undefined> => {
    const value = await kv.get(key, 'arrayBuffer');
    return value === null || value === undefined ? undefined : new Uint8Array(value as ArrayBuffer);
  };
  return {
    partBytes,
    async append(id, at, records) {
      for (let from = 0; from < records.length; from += partBytes)
        await kv.put(keyOf(id, `log-${placed(at + from)}`), records.slice(from, from + partBytes));
    },
    async read(id) {
      const keys = await names(keyOf(id, 'log-'));
      const pieces: Uint8Array[] = [];
      let at = 0;
      for (const key of keys) {
        const bytes = key.endsWith(placed(at)) ? await bytesOf(key) : undefined;
        if (!bytes) continue;
        pieces.push(bytes);
        at += bytes.length;
      }
      return pieces.length === 0 ? undefined : joined(pieces);
    },
    async put(id, name, bytes) {
      await kv.put(keyOf(id, name), bytes);
    },
    get: (id, name) => bytesOf(keyOf(id, name)),
    async delete(id, name) {
      await kv.delete(keyOf(id, name));
    },
    async list() {
      const first = `/log-${placed(0)}`;
      return (await names(prefix)).filter((key) => key.endsWith(first))
        .map((key) => decodeURIComponent(key.slice(prefix.length, -first.length)));
    },
    async remove(id) {
      // The records go last: without them nothing of it would be found again.
      for (const key of (await names(keyOf(id, ''))).reverse().sort((a, b) => Number(a.includes('/log-')) - Number(b.includes('/log-'))))
        await kv.delete(key);
    },
  };
}

// ---- Memory ----

/** For tests, and for programs that stay until their jobs are done. */
export function memoryStore(): JobStore {
  const values = new Map<string, Uint8Array>();
  const store = kvStore({
    get: (key) => values.get(key)?.slice(),
    put: (key, value) => void values.set(key, value.slice()),
    delete: (key) => void values.delete(key),
    list: ({ prefix }) => ({ keys: [...values.keys()].filter((name) => name.startsWith(prefix)).map((name) => ({ name })) }),
  });
  const name = `sheaf-memory-${++memories}/`;
  return { ...store, lock: (id) => locked(name + id, false) };
}

let memories = 0;

// ---- IndexedDB ----

function settled<Value>(request: IDBRequest<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB failed'));
  });
}

/** A database of the browser's, in pages and workers. What is put is there when its transaction has ended. */
export function indexedDbStore(name = 'sheaf-jobs'): JobStore {
  let opening: Promise<IDBDatabase> | undefined;
  const database = (): Promise<IDBDatabase> => (opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => void request.result.createObjectStore('values');
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => {
      opening = undefined;
      reject(request.error ?? new Error('IndexedDB cannot be opened'));
    };
  }));
  const reads = async <Value>(act: (values: IDBObjectStore) => IDBRequest<Value>): Promise<Value> =>
    settled(act((await database()).transaction('values').objectStore('values')));
  const writes = async (act: (values: IDBObjectStore) => void): Promise<void> => {
    const transaction = (await database()).transaction('values', 'readwrite', { durability: 'strict' });
    act(transaction.objectStore('values'));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error('IndexedDB failed'));
    });
  };
  const store = kvStore({
    get: (key) => reads((values) => values.get(key) as IDBRequest<Uint8Array | undefined>),
    put: (key, value) => writes((values) => void values.put(value, key)),
    delete: (key) => writes((values) => void values.delete(key)),
    list: async ({ prefix }) => {
      const keys = await reads((values) => values.getAllKeys(IDBKeyRange.bound(prefix, `${prefix}\uffff`)));
      return { keys: keys.map((key) => ({ name: String(key) })) };
    },
  });
  return { ...store, lock: (id) => locked(`sheaf-jobs/${name}/${id}`, true) };
}
