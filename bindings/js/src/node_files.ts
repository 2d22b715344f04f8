// node_files.ts: files as files.ts needs them: lines of them, one after another or at scattered places; whole writes; locks.
//
// All calls wait for the disk. What is promised in the log must be there before anything is sent, and a write of lines that
// lie in memory takes less time than the promise of an asynchronous one.

import { spawnSync } from 'node:child_process';
import {
  closeSync, constants, existsSync, fsyncSync, ftruncateSync, openSync, readSync, renameSync, statSync, writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

import { SheafError } from './errors.js';

export const lf = 10;
const cr = 13, tab = 9, space = 32;
const lineBytesMax = 64 << 20;
const readBytes = 512 << 10;

export function message(error: unknown): string {
  return (error as Error).message;
}

// ---- Reading ----

export interface Line {
  /** Without its LF; valid until the next is read. */
  text: Uint8Array;
  /** From 1. */
  number: number;
  offset: number;
  /** Its LF is there. */
  isWhole: boolean;
}

/** The lines of a file from an offset on; other readers of the descriptor do not disturb it. Only LF ends a line. */
export class LineReader {
  private data = Buffer.allocUnsafe(readBytes);
  private begin = 0;
  private end = 0;
  private searched = 0;
  private isEnded = false;
  private number = 0;
  /** Where the next line begins. */
  offset = 0;

  constructor(private readonly fd: number, private readonly name: string) {}

  next(): Line | undefined {
    for (;;) {
      const found = this.data.subarray(0, this.end).indexOf(lf, this.begin + this.searched);
      if (found >= 0) return this.take(found - this.begin, true);
      this.searched = this.end - this.begin;
      if (this.isEnded) return this.searched === 0 ? undefined : this.take(this.searched, false);
      if (this.searched > lineBytesMax)
        throw new SheafError(`${this.name}:${this.number + 1}: the line is longer than 64 MiB; is the file JSONL with LF at line ends?`, 'E_TOO_LONG');
      this.fill();
    }
  }

  private take(bytes: number, isWhole: boolean): Line {
    const from = this.begin, { offset } = this;
    const hasMark = offset === 0 && this.data.subarray(from, from + 3).equals(byteOrderMark) && bytes >= 3;
    const used = bytes + (isWhole ? 1 : 0);
    this.begin += used;
    this.offset += used;
    this.searched = 0;
    return { text: this.data.subarray(from + (hasMark ? 3 : 0), from + bytes), number: ++this.number, offset, isWhole };
  }

  private fill(): void {
    if (this.end === this.data.length) {
      const rest = this.data.subarray(this.begin, this.end);
      const data = rest.length > this.data.length / 2 ? Buffer.allocUnsafe(this.data.length * 2) : this.data;
      rest.copy(data);
      this.end = rest.length;
      this.begin = 0;
      this.data = data;
    }
    const got = readSync(this.fd, this.data, this.end, this.data.length - this.end, this.offset + this.end - this.begin);
    if (got === 0) this.isEnded = true;
    this.end += got;
  }
}

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

export function isBlank(text: Uint8Array): boolean {
  return text.every((byte) => byte === space || byte === tab || byte === cr);
}

/** A line of an input says something, and a CR before its LF is not part of it. */
export function content(text: Uint8Array): Uint8Array | undefined {
  const first = text[0];
  if ((first === undefined || first <= space) && isBlank(text)) return undefined;
  return text[text.length - 1] === cr ? text.subarray(0, -1) : text;
}

const blockBytes = 64 << 10, blocksMax = 64;

/** Lines at scattered offsets, by way of a small cache: those that finished near one another lie near one another. */
export class Blocks {
  private readonly blocks = new Map<number, Buffer>();

  constructor(private readonly fd: number) {}

  /** The line at an offset, with its LF. */
  line(offset: number): Uint8Array {
    const parts: Buffer[] = [];
    for (let at = offset;;) {
      const rest = this.block(Math.floor(at / blockBytes)).subarray(at % blockBytes);
      const end = rest.indexOf(lf);
      parts.push(end < 0 ? rest : rest.subarray(0, end + 1));
      if (end >= 0) return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
      if (rest.length === 0) throw new Error('a line ends early');
      at += rest.length;
    }
  }

  private block(number: number): Buffer {
    const known = this.blocks.get(number);
    if (known) {
      this.blocks.delete(number); // and back in as the newest
      this.blocks.set(number, known);
      return known;
    }
    const block = Buffer.allocUnsafe(blockBytes);
    const bytes = readAll(this.fd, block, number * blockBytes);
    const [oldest] = this.blocks.keys();
    if (this.blocks.size >= blocksMax) this.blocks.delete(oldest as number);
    this.blocks.set(number, block.subarray(0, bytes));
    return block.subarray(0, bytes);
  }
}

/** As much as there is; answers how much. */
export function readAll(fd: number, into: Uint8Array, offset: number): number {
  let bytes = 0;
  while (bytes < into.length) {
    const got = readSync(fd, into, bytes, into.length - bytes, offset + bytes);
    if (got === 0) break;
    bytes += got;
  }
  return bytes;
}

// ---- Writing ----

/** Writes all of it, or cuts off again what is no whole line (of a log: all of it), and throws. */
export function writeAll(fd: number, bytes: Uint8Array, offset: number, isLog = false): void {
  let done = 0;
  try {
    while (done < bytes.length) done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
  } catch (error) {
    ftruncateSync(fd, isLog ? offset : offset + bytes.subarray(0, done).lastIndexOf(lf) + 1);
    throw error;
  }
}

/** Makes a rename or a new file durable, where directories can be synced. */
export function syncDirectory(path: string): void {
  try {
    const fd = openSync(dirname(path), 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // Some file systems, and Windows, cannot; there is nothing more to be done then.
  }
}

/** Moves an output and its log to the first free OUT.bak, OUT.bak.2, ... */
export function setAside(output: string, log: string): void {
  let backup = `${output}.bak`;
  for (let n = 2; existsSync(backup); n++) backup = `${output}.bak.${n}`;
  renameSync(output, backup);
  if (existsSync(log)) renameSync(log, `${backup}.sheaf`);
}

export function isSame(fd: { dev: number; ino: number }, path: string): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  return there !== undefined && there.dev === fd.dev && there.ino === fd.ino;
}

// ---- Locks ----

/** What takes a lock on the descriptor that it inherits as 3; status 1: somebody else has it. */
const lockers: [string, string[]][] = [
  ['flock', ['-xn', '3']],
  ['perl', ['-e', 'open(my $f, ">&=", 3) or exit 2; exit(flock($f, 6) ? 0 : 1)']],
];

/**
 * Takes the lock of flock(2) that the command takes, which has no call in Node: it belongs to the open file and not to a
 * process, so that a program which inherits the descriptor takes it for good. False: another run has it. Where there is
 * no such program or no such lock, the run goes on without, as the command does.
 */
export function lock(fd: number): boolean {
  for (const [program, args] of lockers) {
    try {
      const { status, error } = spawnSync(program, args, { stdio: ['ignore', 'ignore', 'ignore', fd] });
      if (!error) return status !== 1;
    } catch {
      return true; // this runtime starts no programs
    }
  }
  return true;
}

export { constants };
