// job_core.ts: the jobs module (wasm/jobs/jobs.h): its calls, loaded once, an instance for each submission that is looked after.

import { type Calls, Core } from './core.js';
import { compile } from './loader.js';
import type { ModuleSource } from './types.js';

/** The calls beside those that both modules have. */
export interface JobCalls
  extends Pick<Calls, 'version' | 'alloc' | 'free' | 'open' | 'mail' | 'end' | 'is_idle' | 'step' | 'timeout' | 'next' | 'on_head'
    | 'on_data' | 'on_done' | 'on_stored' | 'log_frame' | 'tools'> {
  use_jobs(client: number, state: number, bytes: number, saltLow: number, saltHigh: number, unixMs: number): number;
  put(client: number, line: number, bytes: number, flags: number): number;
  ended(client: number, index: number): number;
  spool_load(client: number, flight: number, data: number, bytes: number): number;
  spool_take(client: number): number;
  spool_piece(client: number, flight: number, offset: number): number;
  spool_forget(client: number): number;
  body(client: number, exchange: number, offset: number): number;
  job_at(client: number, n: number): number;
  job_cancel(client: number, flight: number): number;
  line(client: number): number;
  close_jobs(client: number): void;
}

const names = [
  'version', 'alloc', 'free', 'open', 'mail', 'end', 'is_idle', 'step', 'timeout', 'next', 'on_head', 'on_data', 'on_done',
  'on_stored', 'log_frame', 'tools', 'use_jobs', 'put', 'ended', 'spool_load', 'spool_take', 'spool_piece', 'spool_forget', 'body',
  'job_at', 'job_cancel', 'line', 'close_jobs',
] as const satisfies readonly (keyof JobCalls)[];

/** An instance, and the calls that it has. */
export interface JobCore {
  core: Core;
  calls: JobCalls;
}

async function instanceOf(module: WebAssembly.Module): Promise<JobCore> {
  const { exports } = await WebAssembly.instantiate(module, {});
  const calls: Record<string, unknown> = {};
  for (const name of names) {
    calls[name] = exports[`sheaf_wasm_${name}`];
    if (typeof calls[name] !== 'function') throw new Error(`sheaf: the jobs module lacks ${name}: it is of another version`);
  }
  (exports as { _initialize?(): void })._initialize?.();
  const { memory } = exports as { memory: WebAssembly.Memory };
  return { core: new Core(calls as unknown as Calls, () => memory.buffer), calls: calls as unknown as JobCalls };
}

export interface JobLoader {
  core(): Promise<JobCore>;
  use(source: ModuleSource | Promise<ModuleSource>): void;
}

/** `find` names the module that ships with the entry. */
export function jobLoaderOf(find: () => ModuleSource | Promise<ModuleSource>): JobLoader {
  let source: ModuleSource | Promise<ModuleSource> | undefined;
  let compiled: WebAssembly.Module | Promise<WebAssembly.Module> | undefined;
  return {
    // As in loader.ts: the module takes the place of its promise.
    async core() {
      const pending = (compiled ??= (async () => compile(await (source ?? find())))());
      try {
        const module = await pending;
        if (compiled === pending) compiled = module;
        return await instanceOf(module);
      } catch (error) {
        if (compiled === pending) compiled = undefined;
        throw error;
      }
    },
    use(given) {
      source = given;
      compiled = undefined;
    },
  };
}
