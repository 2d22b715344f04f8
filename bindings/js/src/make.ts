// make.ts: a client out of options and what a runtime has.

import { Client } from './client.js';
import type { Core } from './core.js';
import { Driver } from './driver.js';
import type { JobsModule } from './jobs_entry.js';
import { importJobs } from './jobs_lazy.js';
import { ResumableDriver } from './resumable.js';
import { asKnown, settle, type Surroundings } from './settle.js';
import type { ClientOptions } from './types.js';

/** What differs between runtimes. @internal */
export interface Runtime extends Surroundings {
  core(): Promise<Core>;
  /** Loads what client.jobs is made of, where that can be found by its name. */
  jobs?(): Promise<JobsModule>;
}

/** Where "sheaf/jobs" leaves what it is, when it is imported. */
const registry = Symbol.for('sheaf.jobs');

/** @internal */
export async function makeClient(given: ClientOptions, runtime: Runtime): Promise<Client> {
  const { options, config: all, settings, seed } = await settle(given, runtime);
  if (options.onGroup) all['group_events'] ??= true;
  const config = asKnown(all);
  const { transport, secrets, keepBody, schedule } = settings;
  return Client.open(options, transport, {
    driver: async (changes) => new Driver(await runtime.core(), config, seed(), { ...settings, ...changes }),
    resumable: async (changes) => new ResumableDriver(await runtime.core(), config, seed(), { ...settings, ...changes }),
    jobs: async () => {
      const imported = (globalThis as Record<symbol, unknown>)[registry] as JobsModule | undefined;
      const { jobsOf } = imported ?? (await (runtime.jobs ?? importJobs)());
      return jobsOf(() => ({ config: { ...config, ...ofJobs(all) }, seed, transport, secrets, keepBody, schedule, onNotice: options.onNotice }));
    },
    set: (name, value) => (config[name] = value),
  });
}

/** Where requests go, as jobs know it: more providers have those. */
function ofJobs({ provider, base_url, name, key_header, endpoints }: Record<string, unknown>): Record<string, unknown> {
  return endpoints ? { endpoints } : { provider, base_url, name, key_header };
}
