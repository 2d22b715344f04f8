// node.ts: the entry for Node, Deno and Bun. What takes a file system is told of under the name "sheaf/node".

import { readFile } from 'node:fs/promises';

import type { EmscriptenFactory } from './core.js';
import { entryOf } from './entry.js';
import type { JobsModule } from './jobs_entry.js';
import { loaderOf, notFound } from './loader.js';
import { surroundings } from './node_surroundings.js';
// @ts-ignore: made by the build
import factory from './sheaf.mjs';

export * from './files.js';
export { fileStore } from './job_files.js';
export * from './public.js';

const address = new URL('./sheaf.wasm', import.meta.url);

const loader = loaderOf(
  () => readFile(address).catch((error: Error) => Promise.reject(notFound(address.href, error.message))),
  factory as EmscriptenFactory,
);

// @ts-ignore: made by the build
const jobs = (): Promise<JobsModule> => import('./jobs-node.js') as Promise<JobsModule>;

export const { createClient, pool, useModule } = entryOf(loader, { ...surroundings, jobs });
