// browser.ts: the entry for pages and module workers, with or without a bundler.

import type { EmscriptenFactory } from './core.js';
import { entryOf } from './entry.js';
import type { JobsModule } from './jobs_entry.js';
import { loaderOf } from './loader.js';
// @ts-ignore: made by the build
import factory from './sheaf.mjs';
import { isPage, web } from './web.js';

export * from './public.js';

// Written out at the place of use: bundlers look for just these words, and emit the file.
const loader = loaderOf(() => new URL('./sheaf.wasm', import.meta.url), factory as EmscriptenFactory);

// @ts-ignore: made by the build
const jobs = (): Promise<JobsModule> => import('./jobs-browser.js') as Promise<JobsModule>;

export const { createClient, pool, useModule } = entryOf(loader, web({ isBrowser: isPage(), jobs }));
