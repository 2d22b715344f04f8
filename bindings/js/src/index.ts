// index.ts: what "sheaf" and "sheaf/inline" export, in every runtime. Types alone: entry.ts is the code behind them.

/// <reference lib="esnext.disposable" preserve="true" />

import type { Client } from './client.js';
import type { Attempt, Pool, PoolOptions } from './pool.js';
import type { ClientOptions, ModuleSource } from './types.js';

export * from './public.js';

/** Makes a client. Rejects with `SheafError` when an option is wrong; its `field` names the option. */
export declare function createClient(options?: ClientOptions): Promise<Client>;

/** Runs any async function under the core's scheduler: limits, adaptive concurrency, retries by cause. */
export declare function pool<Args extends unknown[], Value>(
  fn: (this: Attempt, ...args: Args) => Promise<Value> | Value, options?: PoolOptions,
): Pool<Args, Value>;

/**
 * Where the WebAssembly module is, for bundlers and hosts that do not find it by themselves; before the first client.
 * `sheaf/sheaf.wasm` and `sheaf/sheaf-edge.wasm` both do, given as an address, a response, bytes or a `WebAssembly.Module`.
 */
export declare function useModule(source: ModuleSource | Promise<ModuleSource>): void;
