// web.ts: what pages, workers and edge runtimes have in common: fetch is all the I/O that there is.

import type { Surroundings } from './entry.js';
import { SheafError } from './errors.js';
import { fetchTransport } from './transport.js';

/** Some servers without a file system have variables all the same; pages have none. */
function variable(name: string): string | undefined {
  return (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env?.[name];
}

export function web(more: Partial<Surroundings> = {}): Surroundings {
  return {
    environment: (names) => (more.isBrowser ? undefined : names.map(variable).find(Boolean)),
    isBrowser: false,
    transport(name, fetch) {
      if (name !== undefined && name !== 'fetch')
        throw new SheafError(`transport: this runtime has fetch only, not "${name}"`, 'E_UNSUPPORTED', 'transport');
      return fetchTransport(fetch);
    },
    ...more,
  };
}

/**
 * Whether keys in here are public: in pages and in workers of pages. Servers that end up with a browser's entry have neither
 * a document nor an importScripts, even where they have a location.
 */
export function isPage(): boolean {
  const { document, importScripts } = globalThis as { document?: unknown; importScripts?: unknown };
  return typeof document === 'object' || typeof importScripts === 'function';
}

/** A turn soon, where there is no setImmediate. */
export const soon = (turn: () => void): void => queueMicrotask(turn);
