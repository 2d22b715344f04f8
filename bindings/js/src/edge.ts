// edge.ts: the entry for Vercel's edge runtime and kin, whose bundlers make a module of "?module".

import { entryOf } from './entry.js';
import { loaderOf } from './loader.js';
// @ts-ignore: made by the build
import module from './sheaf-edge.wasm?module';
import { soon, web } from './web.js';

export * from './public.js';

export const { createClient, pool, useModule } = entryOf(
  loaderOf(() => module as WebAssembly.Module), web({ schedule: soon }),
);
