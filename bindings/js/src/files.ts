// files.ts: files as input and output of a run, with the same resume as the command's: the same bytes in the same files, so
// that either goes on with the other's. The line codec, the log and the index of what is done are the core's.
//
//   open     input, output with its lock, earlier log, earlier lines; only when all of them agree is a torn end cut and this
//            run's record written
//   run      ResumableRun of state.ts: lines in, lines out, the log before anything is sent
//   finish   input order by a rewrite and a rename; the log goes when every row has its line
//
// JSONL only; text and CSV are the command's.

import {
  closeSync, existsSync, fchmodSync, fdatasyncSync, fstatSync, fsyncSync, ftruncateSync, openSync, readFileSync,
  realpathSync, renameSync, rmSync, writeFileSync,
} from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Client } from './client.js';
import type { ResumableDriver } from './resumable.js';
import { SheafError } from './errors.js';
import {
  Blocks, constants, content, isBlank, isSame, lf, LineReader, lock, message, readAll, setAside, syncDirectory, writeAll,
} from './node_files.js';
import { Status } from './layout.js';
import { lineOf } from './options.js';
import { type Input, type InputRow, joinState, type Output, random64, ResumableRun, splitState } from './state.js';
import { figuresOf } from './statistics.js';
import type { Request, ResumeOptions } from './types.js';

export interface FileOptions extends ResumeOptions {
  /** `input` (usual): restored at the end; `completion`: as results came. */
  order?: 'input' | 'completion';
  /**
   * `auto` (usual): go on with an output of this run, refuse one of another. `required`: fail if there is nothing to go on
   * with. `never`: start over; the old output is kept as `OUT.bak`.
   */
  resume?: 'auto' | 'required' | 'never';
  /** `full` waits for the disk at every write; `normal` (usual) survives the death of the process, not of the power. */
  sync?: 'normal' | 'full';
  /** The first rows only. */
  limit?: number;
}

export interface FileReport {
  /** Rows that were read from the input. */
  total: number;
  /** Of these, with a line in the output: `succeeded + failed`, of this run and of earlier ones. */
  done: number;
  succeeded: number;
  failed: number;
  /** Done by an earlier run and not sent again. */
  skipped: number;
  /** Lines that this run wrote. */
  written: number;
  /** Rows that an earlier run may have sent and has no line of: treated as `resendUnknown` says. */
  unknown: number;
  /** Bytes of a torn last line that were cut. */
  tornBytes: number;
  /** An earlier run was gone on with. */
  isResumed: boolean;
  /** Every row has its line and the order is restored; else the same call goes on. */
  isFinished: boolean;
  /** What the engine counted: attempts, tokens, cost; see `client.metrics()`. */
  metrics: Record<string, unknown>;
}

type Path = string | URL;
const pathOf = (path: Path): string => (path instanceof URL ? fileURLToPath(path) : path);

/**
 * Runs a file of requests (JSONL, the command's input format) into a file of results. The same call again goes on where an
 * earlier one ended, however it ended; so does `sheaf run INPUT -o OUTPUT`, and this with what that left. A run has an engine
 * of its own with the client's options. Rejects when files cannot be used or a line of the input is not valid; what was
 * finished by then is kept. Requests that failed are lines with an error.
 */
export async function runFile(client: Client, input: Path, output: Path, options: FileOptions = {}): Promise<FileReport> {
  let files: Files | undefined;
  const driver = await client.renew({
    onLog: (frames) => (files as Files).log(frames),
    onStart: () => files?.run?.started(),
  });
  try {
    files = new Files(driver, pathOf(input), pathOf(output), options);
    return await files.toEnd();
  } finally {
    driver.close();
    files?.close();
  }
}

/** Writes a state of `client.batch` or `client.resume` as an output and its log, for `runFile` or the command. */
export async function writeState(state: Uint8Array, output: Path): Promise<void> {
  const path = pathOf(output), parts = await splitState(state);
  for (const name of [path, `${path}.sheaf`])
    if (existsSync(name)) throw new SheafError(`${name}: is there already; give another name`, 'E_IO');
  writeFileSync(`${path}.sheaf`, parts.log);
  writeFileSync(path, parts.output);
}

/** The state of an output and its log, for `client.resume`. */
export async function readState(output: Path): Promise<Uint8Array> {
  const path = pathOf(output);
  const log = existsSync(`${path}.sheaf`) ? readFileSync(`${path}.sheaf`) : new Uint8Array(0);
  return joinState({ output: readFileSync(path), log });
}

/** Writes requests as lines of the input format, for `runFile` or the command. */
export function writeRequests(requests: Iterable<Request>, input: Path): void {
  const lines: string[] = [];
  for (const request of requests) lines.push(`${lineOf(request)}\n`);
  writeFileSync(pathOf(input), lines.join(''));
}

// ---- Input ----

class FileInput implements Input {
  readonly fd: number;
  readonly bytes: number;
  private readonly reader: LineReader;
  private rows = 0;

  constructor(readonly path: string, private readonly limit: number) {
    const name = path;
    try {
      this.fd = openSync(path, 'r');
    } catch (error) {
      throw new SheafError(`${name}: cannot be opened: ${message(error)}; check the name`, 'E_IO');
    }
    const facts = fstatSync(this.fd);
    this.bytes = facts.size;
    this.reader = new LineReader(this.fd, name);
    try {
      if (!facts.isFile()) throw new SheafError(`${name}: is no file; name one`, 'E_IO');
      this.checkNotEmpty();
    } catch (error) {
      closeSync(this.fd);
      throw error;
    }
  }

  private checkNotEmpty(): void {
    const reader = new LineReader(this.fd, this.path);
    for (let line = reader.next(); line; line = reader.next()) if (content(line.text)) return;
    throw new SheafError(`${this.path}: the input is empty; give at least one row`, 'E_END');
  }

  next(): InputRow | undefined {
    if (this.rows === this.limit) return undefined;
    for (let line = this.reader.next(); line; line = this.reader.next()) {
      const text = content(line.text);
      if (!text) continue;
      this.rows++;
      return { line: text, number: line.number };
    }
    return undefined;
  }

  /** Rows of the whole input, from the length of those read so far. */
  estimate(): number | undefined {
    const { offset } = this.reader;
    if (offset === 0) return undefined;
    return Math.min(this.limit, this.rows + Math.floor((this.bytes - offset) / (offset / this.rows)));
  }

  idOf(number: number): string | undefined {
    const reader = new LineReader(this.fd, this.path);
    for (let line = reader.next(), rows = 0; line; line = reader.next()) {
      const text = content(line.text);
      if (!text) continue;
      rows++;
      if (line.number < number) continue;
      const row = JSON.parse(Buffer.from(text).toString()) as { custom_id?: string } | string;
      return (typeof row === 'string' ? undefined : row.custom_id) ?? `row-${rows}`;
    }
    return undefined;
  }

  place(number: number, column: number): string {
    return `${this.path}:${number}${column > 0 ? `:${column}` : ''}`;
  }

  before(number: number): string {
    return `on line ${number}`;
  }

  otherRun!: (customId: string) => string;

  /** The first bytes, by which one input is told from another: FNV-1a, as in the command. */
  headHash(): bigint {
    const head = new Uint8Array(4096);
    const bytes = readAll(this.fd, head, 0);
    let hash = 0xcbf29ce484222325n;
    for (const byte of head.subarray(0, bytes)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
    return hash;
  }
}

// ---- Output ----

const writeBytes = 256 << 10;

class FileOutput implements Output {
  fd = -1;
  /** Without symbolic links, since the rewrite renames over it. */
  readonly path: string;
  readonly existed: boolean;
  bytes = 0;
  private pending: Uint8Array[] = [];
  private pendingBytes = 0;
  private isUnsynced = false;
  private written = 0;

  constructor(readonly name: string, private readonly input: FileInput, private readonly isSynced: boolean, isFresh: boolean) {
    const existed = existsSync(name);
    this.path = existed ? realpathSync(name) : name;
    try {
      this.existed = this.open(isFresh) && existed;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get logPath(): string {
    return `${this.path}.sheaf`;
  }

  /** Opens and locks it. The name may stand for another file by the time the lock is held. False: an old one was set aside. */
  private open(isFresh: boolean): boolean {
    for (;;) {
      this.close();
      try {
        this.fd = openSync(this.path, constants.O_RDWR | constants.O_CREAT, 0o666);
      } catch (error) {
        throw new SheafError(`${this.name}: cannot be opened for writing: ${message(error)}; check the name and its directory`, 'E_IO');
      }
      const facts = fstatSync(this.fd);
      if (!facts.isFile()) throw new SheafError(`${this.name}: is no file; what goes there cannot be gone on with`, 'E_IO');
      if (!lock(this.fd))
        throw new SheafError(`${this.name}: another run is writing it; wait for that one, or use another output`, 'E_OTHER_RUN');
      const input = fstatSync(this.input.fd);
      if (input.dev === facts.dev && input.ino === facts.ino)
        throw new SheafError(`${this.name}: is the input as well; use another output`, 'E_IO');
      if (!isSame(facts, this.path)) continue;
      this.bytes = this.written = facts.size;
      if (!isFresh || (facts.size === 0 && !existsSync(this.logPath))) return !isFresh;
      setAside(this.path, this.logPath);
      isFresh = false;
      this.open(false);
      return false;
    }
  }

  append(line: Uint8Array): void {
    this.pending.push(line);
    this.pendingBytes += line.length;
    this.bytes += line.length;
    if (this.pendingBytes >= writeBytes) this.flush();
  }

  flush(): void {
    if (this.pending.length === 0) return;
    const bytes = this.pending.length === 1 ? (this.pending[0] as Uint8Array) : Buffer.concat(this.pending);
    try {
      writeAll(this.fd, bytes, this.written);
    } catch (error) {
      throw new SheafError(`${this.name}: cannot be written: ${message(error)}; mend it and run the same again`, 'E_IO');
    }
    this.written += bytes.length;
    this.pending = [];
    this.pendingBytes = 0;
    this.isUnsynced = true;
    if (this.isSynced) this.sync();
  }

  sync(): void {
    if (!this.isUnsynced) return;
    try {
      fdatasyncSync(this.fd);
    } catch (error) {
      throw new SheafError(`${this.name}: cannot be synced to disk: ${message(error)}; the last lines may be lost at a power failure`, 'E_IO');
    }
    this.isUnsynced = false;
  }

  /** The file ends here from now on; `lacksLf`: but for an LF. */
  cut(bytes: number, lacksLf: boolean): void {
    if (bytes < this.bytes) ftruncateSync(this.fd, bytes);
    if (lacksLf) writeAll(this.fd, Uint8Array.of(lf), bytes);
    this.bytes = this.written = bytes + (lacksLf ? 1 : 0);
  }

  /** Another file takes its place, whole: at any instant the name stands for one of the two. */
  replace(lines: (copy: (line: Uint8Array) => void) => void): void {
    const path = `${this.path}.tmp`;
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC, 0o600);
    let bytes = 0, parts: Uint8Array[] = [], partsBytes = 0;
    const flush = (): void => {
      writeAll(fd, Buffer.concat(parts), bytes);
      bytes += partsBytes;
      parts = [];
      partsBytes = 0;
    };
    try {
      lock(fd);
      fchmodSync(fd, fstatSync(this.fd).mode & 0o7777);
      lines((line) => {
        parts.push(Buffer.from(line)); // what it lies in is used again
        partsBytes += line.length;
        if (partsBytes >= writeBytes) flush();
      });
      flush();
      fsyncSync(fd);
      renameSync(path, this.path);
    } catch (error) {
      closeSync(fd);
      rmSync(path, { force: true });
      throw new SheafError(
        `${this.name}: all results are there, but not yet in order (${message(error)}); mend that and run the same again, it sends nothing twice`,
        'E_IO');
    }
    syncDirectory(this.path);
    closeSync(this.fd);
    this.fd = fd;
    this.bytes = this.written = bytes;
    this.isUnsynced = false;
  }

  /** An opening that failed leaves no empty file behind. */
  forsake(): void {
    if (this.fd >= 0 && !this.existed && this.bytes === 0) rmSync(this.path, { force: true });
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }
}

// ---- The run ----

class Files {
  run: ResumableRun | undefined;
  private readonly input: FileInput;
  private readonly output: FileOutput;
  private logFd = -1;
  private logBytes = 0;
  private earlierLines = 0;
  private tornBytes = 0;
  private isResumed = false;
  private readonly isSynced: boolean;

  constructor(private readonly driver: ResumableDriver, input: string, output: string, private readonly options: FileOptions) {
    check(options);
    this.isSynced = options.sync === 'full';
    this.input = new FileInput(input, options.limit ?? Infinity);
    let opened: FileOutput | undefined;
    try {
      this.output = opened = new FileOutput(output, this.input, this.isSynced, options.resume === 'never');
      this.input.otherRun = (customId) =>
        `${output} holds results of other requests: custom_id ${JSON.stringify(customId)} has other content (model, parameters ` +
        `or prompt changed). ${startOver(output)}`;
      this.resume();
    } catch (error) {
      opened?.forsake();
      opened?.close();
      this.close();
      throw error;
    }
  }

  // ---- Opening: asks first and changes later ----

  private resume(): void {
    const { driver, output, options } = this;
    const log = this.readLog();
    driver.useResume(options.retryFailed ?? false);
    const { head, valid, runs } = this.openLog(log);
    const record = this.record();
    for (const run of runs) if (isOtherInput(run, record))
      throw new SheafError(`${output.name} belongs to a run of another input; ${startOver(output.name)}`, 'E_OTHER_RUN');
    const { keep, lacksLf } = this.scan(valid > 0);
    this.isResumed = this.earlierLines > 0 || runs.length > 0;
    if (!this.isResumed && options.resume === 'required')
      throw new SheafError(`${output.name}: there is nothing to resume; leave resume away to begin a run`, 'E_NOT_FOUND');
    output.cut(keep, lacksLf);
    this.beginLog(head, valid, record);
  }

  private readLog(): Uint8Array | undefined {
    const { logPath, existed } = this.output;
    if (!existsSync(logPath)) return undefined;
    if (existed) return readFileSync(logPath);
    // A log whose output was deleted speaks of results that nobody has.
    renameSync(logPath, `${logPath}.bak`);
    return undefined;
  }

  private openLog(log: Uint8Array | undefined): ReturnType<ResumableDriver['openLog']> {
    const { name, logPath } = this.output;
    try {
      return this.driver.openLog(log, random64());
    } catch (error) {
      const { code } = error as SheafError;
      if (code === 'E_VERSION')
        throw new SheafError(`${logPath} was written by a newer sheaf; go on with that one. ${startOver(name)}`, code);
      throw new SheafError(
        `${logPath} is damaged: what was sent before is not known for sure. Move it away to go on (rows in flight at the end of ` +
        `that run may be sent again). ${startOver(name)}`, code);
    }
  }

  private record(): Record<string, unknown> {
    return {
      input: basename(this.input.path), input_bytes: this.input.bytes, input_head: String(this.input.headHash()),
      version: this.driver.version, created_unix_ms: Date.now(),
    };
  }

  /** Every whole line of an earlier output into the core's index. A last line that lacks no more than its LF is whole. */
  private scan(hasLog: boolean): { keep: number; lacksLf: boolean } {
    const { driver, output } = this;
    let keep = 0, lacksLf = false;
    if (output.bytes === 0) return { keep, lacksLf };
    const reader = new LineReader(output.fd, output.name);
    for (let line = reader.next(); line; line = reader.next()) {
      const { text, number, offset, isWhole } = line;
      const isEmpty = isBlank(text);
      const status = isEmpty ? 0 : driver.addLine(text, offset);
      if (status !== 0 && !isWhole && (this.earlierLines > 0 || hasLog)) {
        this.tornBytes = text.length;
        break;
      }
      if (status === Status.E_OTHER_RUN || (status !== 0 && !isWhole))
        throw new SheafError(`${output.name}: line ${number} is no result of sheaf; ${startOver(output.name)}`, 'E_OTHER_RUN');
      if (status === Status.E_NOMEM) throw new SheafError(`${output.name}: no memory for its lines`, 'E_NOMEM');
      if (status !== 0)
        throw new SheafError(
          `${output.name}: line ${number} is damaged; delete that line to run its row again. ${startOver(output.name)}`, 'E_CORRUPT');
      if (!isEmpty) this.earlierLines++;
      lacksLf = !isWhole;
      keep = reader.offset;
    }
    return { keep, lacksLf };
  }

  private beginLog(head: Uint8Array, valid: number, record: Record<string, unknown>): void {
    const { logPath } = this.output;
    this.logFd = openSync(logPath, constants.O_RDWR | constants.O_CREAT, 0o666);
    ftruncateSync(this.logFd, valid);
    this.logBytes = valid;
    this.log(Buffer.concat([head, this.driver.logFrame('RUN', JSON.stringify(record))]));
    if (this.isSynced && valid === 0) syncDirectory(logPath);
  }

  /** Called before anything of what the frames promise is sent. What throws here lets nothing more be sent. */
  log(frames: Uint8Array): void {
    try {
      writeAll(this.logFd, frames, this.logBytes, true);
      this.logBytes += frames.length;
      if (!this.isSynced) return;
      fdatasyncSync(this.logFd);
      this.driver.logSynced();
    } catch (error) {
      const failure = new SheafError(
        `${this.output.logPath}: cannot be written: ${message(error)}; nothing more is sent; mend that and run the same again`, 'E_STORE');
      this.run?.fail(failure);
      throw failure;
    }
  }

  // ---- The run and its end ----

  async toEnd(): Promise<FileReport> {
    const run = new ResumableRun(
      this.driver, this.input, this.output, this.options, this.options.budget, undefined, undefined, () => this.input.estimate());
    this.run = run;
    await run.ended;
    if (run.failure !== undefined) throw run.failure;
    const isFinished = run.isInputEnded && run.figures.left === 0;
    if (isFinished) this.finish(run);
    const { rows, succeeded, failed, skipped, written } = run.figures;
    const metrics = figuresOf(this.driver.numbers());
    return {
      total: rows, done: succeeded + failed, succeeded, failed, skipped, written,
      unknown: Number(metrics['recovered_unknown'] ?? 0), tornBytes: this.tornBytes, isResumed: this.isResumed, isFinished, metrics,
    };
  }

  private finish(run: ResumableRun): void {
    const { output, driver } = this;
    this.restoreOrder(run);
    output.sync();
    if (run.isWhole) {
      closeSync(this.logFd);
      this.logFd = -1;
      rmSync(output.logPath, { force: true });
    } else {
      this.log(driver.logFrame('END', '')); // rows without a line are for a later run, and so is the log
    }
  }

  /** Input order, and one line a row; only where it is not so already. */
  private restoreOrder(run: ResumableRun): void {
    const { output } = this, { places } = run;
    const isByIndex = this.options.order !== 'completion';
    const hasOthers = this.earlierLines + run.figures.written > places.count;
    const { strays, replaced } = hasOthers ? this.findOthers(run) : { strays: [], replaced: new Set<number>() };
    if (replaced.size === 0 && !(isByIndex && !this.isInOrder(run, strays))) return;
    const { fd } = output;
    output.replace((copy) => {
      if (isByIndex) {
        const blocks = new Blocks(fd);
        for (let index = 0; index < places.end; index++) if (places.get(index) >= 0) copy(blocks.line(places.get(index)));
        for (const offset of strays) copy(blocks.line(offset));
        return;
      }
      const reader = new LineReader(fd, output.name), end = Uint8Array.of(lf);
      for (let line = reader.next(); line; line = reader.next()) {
        if (replaced.has(line.offset)) continue;
        copy(line.text);
        copy(end);
      }
    });
  }

  /** Whether the lines of rows, and then those of none, stand in rising order. */
  private isInOrder({ places }: ResumableRun, strays: number[]): boolean {
    let before = -1;
    for (let index = 0; index < places.end; index++) {
      const offset = places.get(index);
      if (offset < 0) continue;
      if (offset < before) return false;
      before = offset;
    }
    return strays.length === 0 || before < (strays[0] as number);
  }

  /** Lines that no row points at: replaced by a better one of the same request, or of rows that are not in this input. */
  private findOthers(run: ResumableRun): { strays: number[]; replaced: Set<number> } {
    const { output, driver } = this, { places } = run;
    const taken = new Set<number>(), losers = new Set(run.losers), replaced = new Set<number>(), strays: number[] = [];
    for (let index = 0; index < places.end; index++) taken.add(places.get(index));
    const reader = new LineReader(output.fd, output.name);
    for (let line = reader.next(); line; line = reader.next()) {
      const { text, offset } = line;
      if (taken.has(offset) || isBlank(text)) continue;
      if (losers.has(offset) || driver.isReplaced(text, offset)) replaced.add(offset);
      else strays.push(offset);
    }
    return { strays, replaced };
  }

  close(): void {
    this.output?.close();
    if (this.logFd >= 0) closeSync(this.logFd);
    this.logFd = -1;
    closeSync(this.input.fd);
  }
}

function startOver(output: string): string {
  return `Use another output, or resume: 'never' to start over (the old file is kept as ${output}.bak)`;
}

/** A name alone may change, and so may the content of an input that was mended or grew. */
function isOtherInput(was: Record<string, unknown>, is: Record<string, unknown>): boolean {
  if (was['input'] === is['input'] || was['input_bytes'] === undefined) return false;
  return was['input_bytes'] !== is['input_bytes'] || was['input_head'] !== is['input_head'];
}

const choices = { order: ['input', 'completion'], resume: ['auto', 'required', 'never'], sync: ['normal', 'full'] } as const;

function check(options: FileOptions): void {
  for (const [name, allowed] of Object.entries(choices)) {
    const given = options[name as keyof typeof choices];
    if (given !== undefined && !(allowed as readonly string[]).includes(given))
      throw new SheafError(`${name}: there is no "${given}": give ${allowed.join(', ')}`, 'E_RANGE', name);
  }
  const { limit } = options;
  if (limit !== undefined && !(limit >= 1)) throw new SheafError('limit: give a whole number from 1', 'E_RANGE', 'limit');
}
