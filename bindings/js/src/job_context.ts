// job_context.ts: what jobs are made of, out of a client's options.

import { type ClientContext } from './jobs_entry.js';
import type { JobClientOptions } from './job_types.js';
import { settle, type Surroundings } from './settle.js';

export async function contextOf(given: JobClientOptions, runtime: Surroundings): Promise<ClientContext> {
  const { options, config, settings: { transport, secrets, keepBody, schedule }, seed } = await settle(given, runtime);
  return { config, seed, transport, secrets, keepBody, schedule, onNotice: options.onNotice };
}
