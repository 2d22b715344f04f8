// engine.ts: one client of the module: its calls, and its mailbox, in which they leave what does not fit into a number.

import type { Calls, Core } from './core.js';
import { SheafError } from './errors.js';
import { Mail, statusNames, statusTexts } from './layout.js';
import { camel } from './names.js';

const SECRET_BYTES = 32;
const lowOf = (word: bigint): number => Number(word & 0xffffffffn);

export class Engine {
  readonly client: number;
  readonly calls: Calls;
  /** Where the mailbox lies in memory. */
  readonly mail: number;
  isClosed = false;

  constructor(readonly core: Core, config: object, seed: bigint) {
    const { calls } = core;
    this.calls = calls;
    // Nobody else can guess the names that merged prompts go by.
    const secret = core.hold(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
    this.client = core.withText(JSON.stringify(config), (at, bytes) => calls.open(at, bytes, ...Engine.words(seed), secret));
    calls.free(secret);
    this.mail = calls.mail(this.client);
    if (this.client === 0) throw this.failure(this.u32(Mail.status));
  }

  /** 64 bits as two numbers. */
  static words(bits: bigint): [low: number, high: number] {
    return [lowOf(bits), lowOf(bits >> 32n)];
  }

  u32(field: Mail): number {
    return this.core.u32(this.mail + field);
  }

  f64(field: Mail): number {
    return this.core.f64(this.mail + field);
  }

  text(field: Mail): string {
    return this.core.text(this.mail + field);
  }

  copy(field: Mail): Uint8Array<ArrayBuffer> {
    return this.core.copy(this.mail + field);
  }

  /** What a call refused, and why. */
  failure(status: number): SheafError {
    const code = statusNames[status | 0] ?? 'E_INTERNAL';
    const field = camel(this.text(Mail.field)), message = this.text(Mail.message) || (statusTexts[code] as string);
    return new SheafError(field ? `${field}: ${message}` : message, code, field || undefined);
  }

  check(): void {
    if (this.isClosed) throw new SheafError('the client is closed', 'E_END');
  }

  /** What the module writes: 0 the numbers of the statistics, 1 the output line of the result in the mailbox. */
  write(what: number): void {
    this.calls.text(this.client, what);
    this.core.refresh();
  }
}
