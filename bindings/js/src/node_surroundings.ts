// node_surroundings.ts: what Node, Deno and Bun have: the environment, and their transports.

import { SheafError } from './errors.js';
import { later } from './http.js';
import { nodeTransport } from './http_node.js';
import { type Undici, undiciTransport } from './http_undici.js';
import type { Surroundings } from './settle.js';
import { fetchTransport, type Transport } from './transport.js';

/** undici where the user has installed it, from 7 on. Earlier ones name the handlers otherwise, and Bun has an empty one. */
async function undici(isWanted: boolean): Promise<Transport | undefined> {
  let loaded: Undici & { cacheStores?: unknown };
  try {
    loaded = (await import('undici' as string)) as Undici;
  } catch (error) {
    if (!isWanted) return undefined;
    throw new SheafError(`transport: undici cannot be loaded: ${(error as Error).message}`, 'E_UNSUPPORTED', 'transport');
  }
  if (loaded.cacheStores) return undiciTransport(loaded);
  if (isWanted) throw new SheafError('transport: undici 7 or later is needed', 'E_UNSUPPORTED', 'transport');
  return undefined;
}

export const surroundings: Surroundings = {
  environment: (names) => names.map((name) => process.env[name]).find((value) => value),
  isBrowser: false,
  async transport(name, fetch) {
    if (name === 'fetch' || fetch) return fetchTransport(fetch);
    if (name !== undefined && name !== 'node' && name !== 'undici')
      throw new SheafError(`transport: there is no "${String(name)}": give fetch, node, undici or an object`, 'E_RANGE', 'transport');
    if (name === 'undici') return (await undici(true)) as Transport;
    // undici is quicker, but takes longer to load than a small run lasts.
    return name === 'node' ? nodeTransport() : later(nodeTransport(), 1000, () => undici(false));
  },
};
