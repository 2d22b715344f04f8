// jobs_lazy.ts: client.jobs: what it does is loaded when it is first asked for.

import { SheafError } from './errors.js';
import type { Jobs } from './job_types.js';

/** Errors of the other script are no instances of this one's class. */
function ours(error: unknown): never {
  const { name, message, code, field } = error as SheafError;
  throw name === 'SheafError' && !(error instanceof SheafError) ? new SheafError(message, code, field) : error;
}

/** Where no module can be loaded by its name, it is to be imported. @internal */
export function importJobs(): never {
  throw new SheafError('jobs: import "sheaf/jobs" (or "sheaf/inline/jobs") in this program: here, nothing is found by its name', 'E_UNSUPPORTED');
}

/** What is called is loaded first. `load` is called once. @internal */
export function lazyJobs(load: () => Promise<Jobs>): Jobs {
  let loading: Promise<Jobs> | undefined;
  const loaded = (): Promise<Jobs> => (loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw error;
  }));
  const later = <Name extends Exclude<keyof Jobs, 'results'>>(name: Name) =>
    (async (...given: unknown[]) => {
      try {
        const jobs = await loaded();
        return await (jobs[name] as (...given: unknown[]) => Promise<unknown>).apply(jobs, given);
      } catch (error) {
        return ours(error);
      }
    }) as unknown as Jobs[Name];
  return {
    submit: later('submit'), status: later('status'), wait: later('wait'), cancel: later('cancel'), list: later('list'),
    remove: later('remove'), decide: later('decide'), available: later('available'),
    async *results(id, options) {
      try {
        yield* (await loaded()).results(id, options);
      } catch (error) {
        ours(error);
      }
    },
  };
}
