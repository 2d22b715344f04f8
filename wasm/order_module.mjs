// order_module.mjs: puts a module into an order in which it compresses well: each function behind the one that it has most
// in common with, and data in few pieces, for zeros between them weigh less than saying where the next begins. What it does
// is the same; brotli makes it a fiftieth smaller.
//
//   node order_module.mjs MODULE.wasm      rewrites the file
//
// Several measures of "in common" are tried, and the smallest module stays. Names (a custom section) are not kept.
import { readFileSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, constants } from 'node:zlib';

const path = process.argv[2];
const bytes = readFileSync(path);

function fail(message) {
  console.error(`order_module.mjs: ${path}: ${message}`);
  process.exit(1);
}

// ---- Numbers ----

/** Reads on from a place. */
class Reader {
  constructor(at) {
    this.at = at;
  }

  u32() {
    let number = 0, shift = 0, byte;
    do {
      byte = bytes[this.at++];
      number += (byte & 127) * 2 ** shift;
      shift += 7;
    } while (byte & 128);
    return number;
  }

  skipNumbers(count) {
    for (; count > 0; count--) while (bytes[this.at++] & 128);
  }
}

function leb(number) {
  const out = [];
  for (; number > 127; number = Math.floor(number / 128)) out.push((number & 127) | 128);
  return [...out, number];
}

const section = (id, parts) => {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return Buffer.concat([Buffer.from([id, ...leb(content.length)]), content]);
};

// ---- The module ----

const ids = { custom: 0, import: 2, function: 3, export: 7, start: 8, element: 9, code: 10, data: 11, dataCount: 12 };
const sections = [];
for (const reader = new Reader(8); reader.at < bytes.length;) {
  const id = bytes[reader.at++], length = reader.u32();
  if (id !== ids.custom) sections.push({ id, from: reader.at, to: reader.at + length });
  reader.at += length;
}
const find = (id) => sections.find((each) => each.id === id);
if (find(ids.import)) fail('it imports something: numbers of functions would begin elsewhere');

/** The elements of a section that is a list. */
function listed(id, read) {
  const { from } = find(id), reader = new Reader(from);
  return Array.from({ length: reader.u32() }, () => read(reader));
}

const types = listed(ids.function, (reader) => reader.u32());
const bodies = listed(ids.code, (reader) => {
  const length = reader.u32(), from = reader.at;
  reader.at += length;
  return { from, to: reader.at };
});

// ---- Data ----

const gapMax = 64; // zeros that take the place of another piece

/** A signed number of 32 bits, as i32.const has it. */
function signed(reader) {
  let number = 0, shift = 0, byte;
  do {
    byte = bytes[reader.at++];
    number |= (byte & 127) << shift;
    shift += 7;
  } while (byte & 128);
  return shift < 32 && byte & 64 ? number | (-1 << shift) : number;
}

function signedLeb(number) {
  const out = [];
  for (;;) {
    const byte = number & 127;
    number >>= 7;
    if ((number === 0 && !(byte & 64)) || (number === -1 && byte & 64)) return [...out, byte];
    out.push(byte | 128);
  }
}

/** Pieces of the memory that a module begins with: joined where little is between them. Memory is all zeros before. */
const pieces = [];
for (const piece of listed(ids.data, (reader) => {
  if (reader.u32() !== 0 || bytes[reader.at++] !== 0x41) fail('data of a kind that is not known');
  const address = signed(reader);
  reader.at++; // the end of the address
  const length = reader.u32(), from = reader.at;
  reader.at += length;
  return { address, content: bytes.subarray(from, reader.at) };
}).sort((a, b) => a.address - b.address)) {
  const last = pieces.at(-1), gap = last ? piece.address - last.address - last.content.length : Infinity;
  if (gap < 0) fail('data that lies over other data');
  if (gap > gapMax) pieces.push(piece);
  else last.content = Buffer.concat([last.content, Buffer.alloc(gap), piece.content]);
}

const dataSection = () => section(ids.data, [
  leb(pieces.length), ...pieces.map(({ address, content }) => [0, 0x41, ...signedLeb(address), 0x0b, ...leb(content.length), ...content]),
]);

// ---- Calls ----

const none = 0, skipOne = 1, skipTwo = 2;
/** How many numbers follow an instruction; of the usual kinds. */
function immediates(code) {
  if (code <= 0x01 || code === 0x05 || code === 0x0b || code === 0x0f || code === 0x1a || code === 0x1b) return none;
  if ((code >= 0x02 && code <= 0x04) || code === 0x0c || code === 0x0d || (code >= 0x20 && code <= 0x26)) return skipOne;
  if (code === 0x11 || (code >= 0x28 && code <= 0x3e)) return skipTwo;
  if (code >= 0x3f && code <= 0x42) return skipOne;
  if (code >= 0x45 && code <= 0xc4) return none;
  return undefined;
}
const ofPrefix = { 0: 0, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1 };

/** Where in a body functions are named. */
function callsOf({ from, to }) {
  const reader = new Reader(from), calls = [];
  for (let groups = reader.u32(); groups > 0; groups--) {
    reader.skipNumbers(1);
    reader.at++;
  }
  while (reader.at < to) {
    const code = bytes[reader.at++], usual = immediates(code);
    if (usual !== undefined) reader.skipNumbers(usual);
    else if (code === 0x10 || code === 0xd2) {
      const at = reader.at, callee = reader.u32();
      calls.push({ at, end: reader.at, callee });
    } else if (code === 0x0e) reader.skipNumbers(reader.u32() + 1);
    else if (code === 0x43) reader.at += 4;
    else if (code === 0x44) reader.at += 8;
    else if (code === 0xfc) {
      const count = ofPrefix[reader.u32()];
      if (count === undefined) fail(`an instruction that is not known, at ${reader.at}`);
      reader.skipNumbers(count);
    } else fail(`an instruction that is not known: ${code}, at ${reader.at - 1}`);
  }
  if (reader.at !== to) fail(`a function ends elsewhere than it says, at ${to}`);
  return calls;
}
const calls = bodies.map(callsOf);

// ---- Writing ----

function bodyWith(i, place) {
  const parts = [];
  let at = bodies[i].from;
  for (const call of calls[i]) {
    parts.push(bytes.subarray(at, call.at), Buffer.from(leb(place[call.callee])));
    at = call.end;
  }
  const body = Buffer.concat([...parts, bytes.subarray(at, bodies[i].to)]);
  return Buffer.concat([Buffer.from(leb(body.length)), body]);
}

function exportsWith(place) {
  const rows = listed(ids.export, (reader) => {
    const from = reader.at, length = reader.u32();
    reader.at += length;
    const kind = bytes[reader.at++], name = bytes.subarray(from, reader.at), number = reader.u32();
    return [...name, ...leb(kind === 0 ? place[number] : number)];
  });
  return section(ids.export, [leb(rows.length), ...rows]);
}

/** Lists of functions for the table that calls by address use. */
function elementsWith(place) {
  const rows = listed(ids.element, (reader) => {
    const from = reader.at;
    if (reader.u32() !== 0 || bytes[reader.at++] !== 0x41) fail('an element section of a kind that is not known');
    reader.skipNumbers(1);
    reader.at++; // the end of the offset
    const head = bytes.subarray(from, reader.at), count = reader.u32();
    return [...head, ...leb(count), ...Array.from({ length: count }, () => leb(place[reader.u32()])).flat()];
  });
  return section(ids.element, [leb(rows.length), ...rows]);
}

/** The module with its functions in this order. */
function written(order) {
  const place = [];
  for (const [at, i] of order.entries()) place[i] = at;
  const parts = sections.map(({ id, from, to }) => {
    if (id === ids.function) return section(id, [leb(order.length), ...order.map((i) => leb(types[i]))]);
    if (id === ids.code) return section(id, [leb(order.length), ...order.map((i) => bodyWith(i, place))]);
    if (id === ids.export) return exportsWith(place);
    if (id === ids.element) return elementsWith(place);
    if (id === ids.data) return dataSection();
    if (id === ids.dataCount) return section(id, [leb(pieces.length)]);
    if (id === ids.start) return section(id, [leb(place[new Reader(from).u32()])]);
    return section(id, [bytes.subarray(from, to)]);
  });
  return Buffer.concat([bytes.subarray(0, 8), ...parts]);
}

// ---- Order ----

/** The runs of so many bytes that a function has. */
function runsOf({ from, to }, length) {
  const runs = new Set();
  for (let at = from; at + length <= to; at++) {
    let run = 0;
    for (let i = 0; i < length; i++) run = (Math.imul(run, 0x01000193) ^ bytes[at + i]) >>> 0;
    runs.add(run);
  }
  return runs;
}

/**
 * From the shortest on, always the one next of which most is in the last few already, by its runs of `length` bytes; of the
 * last one alone, in which least else is as well: long ones would come first otherwise.
 */
function chain(length, few) {
  const runs = bodies.map((body) => runsOf(body, length));
  const sizeOf = (i) => bodies[i].to - bodies[i].from;
  const left = new Set(bodies.keys());
  const order = [[...left].reduce((best, i) => (sizeOf(i) < sizeOf(best) ? i : best))];
  left.delete(order[0]);
  while (left.size > 0) {
    const near = new Set();
    for (const i of order.slice(-few)) for (const run of runs[i]) near.add(run);
    let best = -1, most = -1;
    for (const i of left) {
      let common = 0;
      for (const run of runs[i]) if (near.has(run)) common++;
      const likeness = common / (runs[i].size + 8 + (few === 1 ? near.size - common : 0));
      if (likeness > most) [best, most] = [i, likeness];
    }
    order.push(best);
    left.delete(best);
  }
  return order;
}

const compressed = (module) => brotliCompressSync(module, {
  params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 },
}).length;

const orders = [[...bodies.keys()], chain(4, 4), chain(6, 4), chain(6, 8), chain(4, 1), chain(6, 1)];
const [smallest] = orders.map(written).map((module) => ({ module, size: compressed(module) })).sort((a, b) => a.size - b.size);
if (!WebAssembly.validate(smallest.module)) fail('what was made of it is no module');
writeFileSync(path, smallest.module);
