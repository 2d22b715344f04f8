// jobs_browser.ts: sheaf/jobs for pages and module workers, with or without a bundler.

import { contextOf } from './job_context.js';
import { jobsEntryOf } from './jobs_entry.js';
import { isPage, web } from './web.js';

export { SheafError } from './errors.js';
export { indexedDbStore, kvStore, memoryStore } from './job_stores.js';

// Written out at the place of use: bundlers look for just these words, and emit the file.
export const { openJobs, useJobsModule, jobsOf } = jobsEntryOf(
  () => new URL('./sheaf-jobs.wasm', import.meta.url), (options) => contextOf(options, web({ isBrowser: isPage() })),
);
