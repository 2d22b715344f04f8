// jobs_node.ts: sheaf/jobs for Node, Deno and Bun.

import { readFile } from 'node:fs/promises';

import { contextOf } from './job_context.js';
import { jobsEntryOf } from './jobs_entry.js';
import { notFound } from './loader.js';
import { surroundings } from './node_surroundings.js';

export { SheafError } from './errors.js';
export { indexedDbStore, kvStore, memoryStore } from './job_stores.js';

const address = new URL('./sheaf-jobs.wasm', import.meta.url);

export const { openJobs, useJobsModule, jobsOf } = jobsEntryOf(
  () => readFile(address).catch((error: Error) => Promise.reject(notFound(address.href, error.message))),
  (options) => contextOf(options, surroundings),
);
