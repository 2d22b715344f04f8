// entry.ts: createClient and its kin over a runtime: what every entry is made of.

import { type Loader } from './loader.js';
import { makeClient, type Runtime } from './make.js';
import { makePool } from './pool.js';

/** The functions as index.ts declares them, so that no entry can differ from what its users are told. */
export type Entry = Pick<typeof import('./index.js'), 'createClient' | 'pool' | 'useModule'>;

/** What differs between runtimes, but for the module. @internal */
export type Surroundings = Omit<Runtime, 'core'>;

export function entryOf(loader: Loader, surroundings: Surroundings): Entry {
  return {
    createClient: (options = {}) => makeClient(options, { ...surroundings, core: loader.core }),
    pool: (fn, options = {}) => makePool(fn, options, loader.core),
    useModule: loader.use,
  };
}
