// jobs_workerd.ts: sheaf/jobs for Cloudflare's runtime: the module is imported.

import { contextOf } from './job_context.js';
import { jobsEntryOf } from './jobs_entry.js';
// @ts-ignore: made by the build
import module from './sheaf-jobs.wasm';
import { soon, web } from './web.js';

export { SheafError } from './errors.js';
export { indexedDbStore, kvStore, memoryStore } from './job_stores.js';

// At most six connections may wait for their response headers at a time.
const connections = 6;

export const { openJobs, useJobsModule, jobsOf } = jobsEntryOf(
  () => module as WebAssembly.Module, (options) => contextOf(options, web({ concurrencyMax: connections, schedule: soon })),
);
