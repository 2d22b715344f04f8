// jobs_inline.ts: sheaf/jobs with the module inside the script, for bundlers that leave .wasm files behind.

import { contextOf } from './job_context.js';
import { jobsEntryOf } from './jobs_entry.js';
// @ts-ignore: made by the build
import base64 from './sheaf-jobs-inline.js';
import { isPage, web } from './web.js';

export { SheafError } from './errors.js';
export { indexedDbStore, kvStore, memoryStore } from './job_stores.js';

const bytes = (): Uint8Array => Uint8Array.from(atob(base64 as string), (letter) => letter.charCodeAt(0));

export const { openJobs, useJobsModule, jobsOf } = jobsEntryOf(bytes, (options) => contextOf(options, web({ isBrowser: isPage() })));
