// workerd.ts: the entry for Cloudflare's runtime: the module is imported, never compiled from bytes. One client belongs
// to one request; making one costs about 0.1 ms.

import { entryOf } from './entry.js';
import { loaderOf } from './loader.js';
// @ts-ignore: made by the build
import module from './sheaf-edge.wasm';
import { soon, web } from './web.js';

export * from './public.js';

// At most six connections may wait for their response headers at a time; a seventh would wait without our knowing.
const connections = 6;

export const { createClient, pool, useModule } = entryOf(
  loaderOf(() => module as WebAssembly.Module), web({ concurrencyMax: connections, schedule: soon }),
);
