// core.ts: a loaded module, whichever build it comes from: its calls and its memory.

import { VERSION } from './layout.js';

/** The module's calls, by their names in exports.txt without the prefix `sheaf_wasm_`. */
export interface Calls {
  version(): number;
  alloc(bytes: number): number;
  free(address: number): void;
  open(options: number, bytes: number, seedLow: number, seedHigh: number, secret: number): number;
  close(client: number): void;
  mail(client: number): number;
  submit(client: number, line: number, bytes: number, user: number, flags: number, maxWaitMs: number): number;
  submit_task(client: number, user: number, priority: number, deadlineMs: number, maxTokens: number): number;
  cancel(client: number, index: number): number;
  end(client: number, how: number): number;
  pause(client: number, on: number): number;
  is_paused(client: number): number;
  set(client: number, name: number, nameBytes: number, value: number, valueBytes: number): number;
  stats_reset(client: number): number;
  room(client: number): number;
  step(client: number, nowMs: number, unixMs: number): number;
  timeout(client: number): number;
  is_idle(client: number): number;
  next(client: number): number;
  on_head(client: number, exchange: number, status: number, headers: number, bytes: number): number;
  on_data(client: number, exchange: number, data: number, bytes: number): number;
  on_done(client: number, exchange: number, end: number, retryable: number, message: number, bytes: number): number;
  on_task(
    client: number, exchange: number, end: number, status: number, retryable: number, retryAfterMs: number,
    inputTokens: number, outputTokens: number, message: number, bytes: number,
  ): number;
  use_log(client: number, state: number, bytes: number, saltLow: number, saltHigh: number, unixMs: number): number;
  on_stored(client: number, ticket: number, status: number): number;
  text(client: number, what: number): number;
  log_frame(client: number, type: number, payload: number, bytes: number): number;
  log_synced(client: number): number;
  use_resume(client: number, retryFailed: number): number;
  add_line(client: number, line: number, bytes: number, offset: number): number;
  offer(client: number, line: number, bytes: number, user: number, flags: number, place: number): number;
  is_replaced(client: number, line: number, bytes: number, offset: number): number;
  tools(client: number, line: number, bytes: number): number;
}

const SCRATCH_KEPT = 1 << 20; // more than this is given back after the call that needed it
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** What is used of Node's Buffer, which reads and writes short texts several times faster than the encoders. */
interface ByteText {
  toString(encoding: 'utf8' | 'latin1', start: number, end: number): string;
  write(text: string, offset: number, length: number, encoding: 'utf8'): number;
}
const bytesOf = (globalThis as {
  Buffer?: { from?: ((memory: ArrayBufferLike) => ByteText) & ((copied: Uint8Array) => Uint8Array) };
}).Buffer;

/** One instance of the module with views of its memory that stay right when it grows. */
export class Core {
  private u8!: Uint8Array;
  private words!: Uint32Array;
  private doubles!: Float64Array;
  private buffer: ByteText | undefined;
  private scratch = 0;
  private scratchBytes = 0;
  /** How long what `put` placed is. */
  putBytes = 0;

  constructor(readonly calls: Calls, private readonly memory: () => ArrayBufferLike) {
    this.view();
    if (calls.version() !== VERSION)
      throw new Error(`sheaf: the module speaks version ${calls.version()}, its loader ${VERSION}: install them together`);
  }

  /** To be called after every call that may have allocated: memory that grew leaves its old views empty. */
  refresh(): void {
    if (this.u8.length === 0) this.view();
  }

  private view(): void {
    const memory = this.memory();
    this.u8 = new Uint8Array(memory);
    this.words = new Uint32Array(memory);
    this.doubles = new Float64Array(memory);
    this.buffer = bytesOf?.from?.(memory);
  }

  u32(address: number): number {
    return this.words[address >>> 2] as number;
  }

  f64(address: number): number {
    return this.doubles[address >>> 3] as number;
  }

  read(address: number, bytes: number): string {
    if (bytes === 0) return '';
    if (this.buffer !== undefined) return this.buffer.toString('utf8', address, address + bytes);
    return decoder.decode(this.u8.subarray(address, address + bytes));
  }

  /** The text that a slice in memory stands for. */
  text(slice: number): string {
    return this.read(this.u32(slice), this.u32(slice + 4));
  }

  /** The same, for texts that repeat: `last` itself where it is that again. */
  again(slice: number, last: string): string {
    const address = this.u32(slice), bytes = this.u32(slice + 4);
    if (bytes === last.length) {
      let i = 0;
      for (; i < bytes; i++) {
        const byte = this.u8[address + i] as number;
        if (byte > 127 || byte !== last.charCodeAt(i)) break;
      }
      if (i === bytes) return last;
    }
    return this.read(address, bytes);
  }

  /** A copy of a slice's bytes. */
  copy(slice: number): Uint8Array<ArrayBuffer> {
    const from = this.u32(slice);
    return this.u8.slice(from, from + this.u32(slice + 4)) as Uint8Array<ArrayBuffer>;
  }

  /** The same, where short ones may come to lie in one block of memory: for what is only read, and not for long. */
  lend(slice: number): Uint8Array<ArrayBuffer> {
    const from = this.u32(slice), bytes = this.u32(slice + 4);
    const lent = bytes > 4096 ? undefined : bytesOf?.from?.(this.u8.subarray(from, from + bytes));
    return (lent as Uint8Array<ArrayBuffer> | undefined) ?? this.copy(slice);
  }

  /** A slice's bytes as a text of one character each; undefined where the runtime has no quick way to it. */
  latin1(slice: number): string | undefined {
    const from = this.u32(slice);
    return this.buffer?.toString('latin1', from, from + this.u32(slice + 4));
  }

  /** Room in the module's memory until the next call of this; 0: there is none. */
  private room(bytes: number): number {
    if (this.scratch === 0 || bytes > this.scratchBytes || (this.scratchBytes > SCRATCH_KEPT && bytes < SCRATCH_KEPT)) {
      if (this.scratch !== 0) this.calls.free(this.scratch);
      this.scratchBytes = Math.max(16384, bytes + (bytes >>> 3));
      this.scratch = this.calls.alloc(this.scratchBytes);
      this.refresh();
      if (this.scratch === 0) this.scratchBytes = 0;
    }
    return this.scratch;
  }

  /** Places a text in the module's memory, `putBytes` long, until the next call of `put`, `putAll` or `lay`; 0: no memory. */
  put(text: string): number {
    const most = text.length * 3; // more a character never takes
    const address = this.room(most);
    this.putBytes = 0;
    if (address === 0) return 0;
    this.putBytes =
      this.buffer !== undefined
        ? this.buffer.write(text, address, most, 'utf8')
        : encoder.encodeInto(text, this.u8.subarray(address, address + this.scratchBytes)).written;
    return address;
  }

  /** A copy of bytes in the module's memory, until it is freed. */
  hold(bytes: Uint8Array): number {
    const address = this.calls.alloc(bytes.length);
    this.refresh();
    if (address !== 0) this.u8.set(bytes, address);
    return address;
  }

  /** The same for bytes. */
  lay(bytes: Uint8Array): number {
    const address = this.room(bytes.length);
    this.putBytes = 0;
    if (address === 0) return 0;
    this.u8.set(bytes, address);
    this.putBytes = bytes.length;
    return address;
  }

  /** Calls with a text in the module's memory. */
  withText(text: string, call: (address: number, bytes: number) => number): number {
    return this.with(this.put(text), call);
  }

  /** Calls with bytes in the module's memory. */
  withBytes(bytes: Uint8Array, call: (address: number, bytes: number) => number): number {
    return this.with(this.lay(bytes), call);
  }

  private with(address: number, call: (address: number, bytes: number) => number): number {
    if (address === 0) throw new Error('sheaf: no memory');
    const status = call(address, this.putBytes);
    this.refresh();
    return status;
  }
}

const names = [
  'version', 'alloc', 'free', 'open', 'close', 'mail', 'submit', 'submit_task', 'cancel', 'end', 'pause', 'is_paused', 'set',
  'stats_reset', 'room', 'step', 'timeout',
  'is_idle', 'next', 'on_head', 'on_data', 'on_done', 'on_task', 'use_log', 'on_stored', 'text', 'log_frame', 'log_synced',
  'use_resume', 'add_line', 'offer', 'is_replaced', 'tools',
] as const;

function pick(exports: object, prefix: string): Calls {
  const calls: Record<string, unknown> = {};
  for (const name of names) {
    const call = (calls[name] = (exports as Record<string, unknown>)[`${prefix}sheaf_wasm_${name}`]);
    if (typeof call !== 'function') throw new Error(`sheaf: the module lacks ${name}: it is of another version`);
  }
  return calls as unknown as Calls;
}

function coreOf(instance: WebAssembly.Instance, calls: Calls): Core {
  // By its kind, because Emscripten gives it a name of its own.
  const memory = Object.values(instance.exports).find((value) => value instanceof WebAssembly.Memory) as WebAssembly.Memory;
  return new Core(calls, () => memory.buffer);
}

/** Whether a module is the bare one. */
export function isReactor(module: WebAssembly.Module): boolean {
  return WebAssembly.Module.exports(module).some(({ name }) => name === '_initialize');
}

/** An instance of the bare module. It imports nothing. */
export function coreOfReactor(module: WebAssembly.Module): Core {
  const instance = new WebAssembly.Instance(module, {});
  (instance.exports as { _initialize(): void })._initialize();
  return coreOf(instance, pick(instance.exports, ''));
}

export type EmscriptenFactory = (settings: {
  instantiateWasm(
    imports: WebAssembly.Imports,
    ready: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
  ): object;
}) => Promise<object>;

/** An instance of Emscripten's module. Its factory never settles when instantiation fails, so that failure is raced here. */
export function coreOfEmscripten(factory: EmscriptenFactory, module: WebAssembly.Module): Promise<Core> {
  return new Promise((resolve, reject) => {
    let made: WebAssembly.Instance;
    factory({
      instantiateWasm(imports, ready) {
        WebAssembly.instantiate(module, imports).then((instance) => ready((made = instance), module)).catch(reject);
        return {};
      },
    }).then((loaded) => resolve(coreOf(made, pick(loaded, '_')))).catch(reject);
  });
}
