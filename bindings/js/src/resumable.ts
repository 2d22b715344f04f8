// resumable.ts: a driver for runs that go on with an earlier one; what the calls do stands in exports.h.

import { Driver, type Row } from './driver.js';
import { Engine } from './engine.js';
import type { ErrorClass } from './generated.js';
import type { SheafError } from './errors.js';
import { classNames, Flag, Mail, RecordType, SHEAF, Status } from './layout.js';
import type { Result } from './types.js';

export class ResumableDriver extends Driver {
  useResume(retryFailed: boolean): void {
    const { calls, client, core } = this.engine;
    const status = calls.use_resume(client, retryFailed ? 1 : 0);
    core.refresh();
    if (status !== 0) throw this.engine.failure(status);
  }

  /** A line of the earlier output; answers the core's status. */
  addLine(line: Uint8Array, offset: number): number {
    const { calls, client, core } = this.engine;
    return core.withBytes(line, (at, bytes) => calls.add_line(client, at, bytes, offset));
  }

  /** Takes the next row of the input. Answers FLAG_... of the constants, or the core's status, which is below 0. */
  offer(line: Uint8Array | string, row: Row, place: number): number {
    const { engine } = this, { core } = engine;
    engine.check();
    const address = typeof line === 'string' ? core.put(line) : core.lay(line);
    if (address === 0) return Status.E_NOMEM;
    const user = this.place(row);
    const status = engine.calls.offer(engine.client, address, core.putBytes, user, this.flagsOf(row), place);
    core.refresh();
    const flags = engine.u32(Mail.flags);
    if (status !== 0 || flags & Flag.SKIPPED) this.leave(user);
    if (status !== 0) return status;
    row.index = engine.f64(Mail.index);
    this.poke();
    return flags;
  }

  /** What the last offer left: a line's offset or a place, and whose. */
  offered(): { number: number; customId: string } {
    return { number: this.engine.f64(Mail.number), customId: this.engine.text(Mail.custom_id) };
  }

  isReplaced(line: Uint8Array, offset: number): boolean {
    const { calls, client, core } = this.engine;
    return core.withBytes(line, (at, bytes) => calls.is_replaced(client, at, bytes, offset)) === 1;
  }

  /** The frame of a record of the host's own. */
  logFrame(type: 'RUN' | 'END', payload: string): Uint8Array {
    const { calls, client, core } = this.engine;
    core.withText(payload, (at, bytes) => calls.log_frame(client, type === 'RUN' ? RecordType.RUN : RecordType.END, at, bytes));
    return this.engine.copy(Mail.bytes);
  }

  logSynced(): void {
    this.engine.calls.log_synced(this.engine.client);
  }

  /**
   * Turns the log on, before the first turn. Answers the bytes that a new log begins with, how many bytes of the earlier log
   * are valid, and the records of the runs that wrote it.
   */
  openLog(state: Uint8Array | undefined, salt: bigint): { head: Uint8Array; valid: number; runs: Record<string, unknown>[] } {
    const { engine } = this, { calls, client, core } = engine;
    const [low, high] = Engine.words(salt);
    const status = core.withBytes(state ?? new Uint8Array(0), (at, bytes) => calls.use_log(client, at, bytes, low, high, Date.now()));
    if (status !== 0) throw engine.failure(status);
    const runs = engine.text(Mail.text);
    return { head: engine.copy(Mail.bytes), valid: engine.f64(Mail.number), runs: runs ? (JSON.parse(runs) as Record<string, unknown>[]) : [] };
  }

  /** The tool calls of an output line. */
  toolsOf(line: Uint8Array): Result['toolCalls'] {
    const { calls, client, core } = this.engine;
    core.withBytes(line, (at, bytes) => calls.tools(client, at, bytes));
    const found = this.engine.text(Mail.tool_calls);
    return found ? (JSON.parse(found) as Result['toolCalls']) : [];
  }

  // ---- Of the result in the mailbox ----

  /** What decides whether it gets a line. */
  facts(): { flags: number; errorClass: ErrorClass; latencyMs: number } {
    const { engine } = this;
    return {
      flags: engine.u32(Mail.flags), latencyMs: engine.f64(Mail.latency_ms),
      errorClass: classNames[engine.u32(Mail.error_class)] as ErrorClass,
    };
  }

  result(): Result {
    return this.results.read();
  }

  /** Its output line, as the command writes it. */
  lineBytes(): Uint8Array<ArrayBuffer> {
    this.engine.write(1);
    return this.engine.copy(Mail.bytes);
  }

  // ---- What the module says of itself ----

  get keepsBody(): boolean {
    return this.settings.keepBody;
  }

  get version(): string {
    return SHEAF;
  }

  failed(status: number): SheafError {
    return this.engine.failure(status);
  }
}
