// jobs_edge.ts: sheaf/jobs for Vercel's edge runtime and kin, whose bundlers make a module of "?module".

import { contextOf } from './job_context.js';
import { jobsEntryOf } from './jobs_entry.js';
// @ts-ignore: made by the build
import module from './sheaf-jobs.wasm?module';
import { soon, web } from './web.js';

export { SheafError } from './errors.js';
export { indexedDbStore, kvStore, memoryStore } from './job_stores.js';

export const { openJobs, useJobsModule, jobsOf } = jobsEntryOf(
  () => module as WebAssembly.Module, (options) => contextOf(options, web({ schedule: soon })),
);
