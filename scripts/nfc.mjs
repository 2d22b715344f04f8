// nfc.mjs: prints core/src/tokens/nfc_table.inc from the Unicode character database, as Debian's package
// unicode-data has it (15.0.0-1; licence Unicode).
//
//   apt-get download unicode-data && dpkg-deb -x unicode-data_*.deb FOLDER
//   node scripts/nfc.mjs FOLDER/usr/share/unicode > core/src/tokens/nfc_table.inc
//
// Normalization form C of assigned characters never changes from one version of Unicode to the next
// (Unicode Standard Annex 15, "Stability of Normalization Forms"), but later versions have more characters.
// Hugging Face tokenizers normalize by Unicode 9.0, so what is younger is left out. Hangul is computed, not
// stored.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const [path] = process.argv.slice(2);
if (!path) {
  console.error('usage: node scripts/nfc.mjs FOLDER_OF_UNICODE_DATA > core/src/tokens/nfc_table.inc');
  process.exit(2);
}
const AGE_MAX = 9;
const young = new Set();
for (const line of readFileSync(join(path, 'DerivedAge.txt'), 'utf8').split('\n')) {
  const [points, age] = line.split('#')[0].split(';').map((x) => x.trim());
  if (!age || parseFloat(age) <= AGE_MAX) continue;
  const [from, to = from] = points.split('..').map((x) => parseInt(x, 16));
  for (let c = from; c <= to; c++) young.add(c);
}
const classes = new Map(), pairs = [], singles = [];
for (const line of readFileSync(join(path, 'UnicodeData.txt'), 'utf8').split('\n')) {
  const field = line.split(';');
  if (field.length < 6) continue;
  const c = parseInt(field[0], 16);
  if (young.has(c)) continue;
  if (field[3] !== '0') classes.set(c, +field[3]);
  if (!field[5] || field[5].startsWith('<')) continue;
  const parts = field[5].split(' ').map((x) => parseInt(x, 16));
  if (parts.length === 1) singles.push([c, parts[0]]);
  else pairs.push([c, ...parts]);
}
const excluded = new Set(), props = join(path, 'DerivedNormalizationProps.txt');
const not_inert = new Set(classes.keys());
for (const line of readFileSync(props, 'utf8').split('\n')) {
  const [points, property] = line.split('#')[0].split(';').map((x) => x.trim());
  if (property !== 'Full_Composition_Exclusion' && property !== 'NFC_QC') continue;
  const [from, to = from] = points.split('..').map((x) => parseInt(x, 16));
  for (let c = from; c <= to; c++) {
    if (young.has(c)) continue;
    if (property === 'NFC_QC') not_inert.add(c);
    else excluded.add(c);
  }
}

const rows = (numbers, digits) => {
  const out = [], width = 16;
  for (let i = 0; i < numbers.length; i += width)
    out.push('    ' + numbers.slice(i, i + width).map((n) => '0x' + n.toString(16).padStart(digits, '0')).join(', ') + ',');
  return out.join('\n');
};
let bytes = 0;
const table = (type, size, name, numbers) => {
  bytes += size * numbers.length;
  return `static const ${type} ${name}[] = {\n${rows(numbers, 2)}\n};`;
};

// Runs of code points of which something is to be looked at, and of equal combining classes.
const runs = [];
for (const c of [...not_inert].sort((a, b) => a - b)) {
  const last = runs[runs.length - 1], ccc = classes.get(c) ?? 0;
  if (last && last.end === c && last.ccc === ccc) last.end++;
  else runs.push({ begin: c, end: c + 1, ccc });
}
const split = (begin, end) => (end - begin > 255 ? [[begin, begin + 255], ...split(begin + 255, end)] : [[begin, end]]);
const cut = runs.flatMap(({ begin, end, ccc }) => split(begin, end).map(([b, e]) => ({ begin: b, end: e, ccc })));

// Pairs, those of plane 0 first: the whole, its parts. A whole that is not composed again has its place
// in `excluded`.
pairs.sort((a, b) => a[0] - b[0]);
const is_low = (pair) => pair.every((c) => c < 0x10000);
const low = pairs.filter(is_low), high = pairs.filter((pair) => !is_low(pair));
const order = (list) =>
  list.map((_, i) => i).filter((i) => !excluded.has(list[i][0]))
    .sort((a, b) => list[a][1] - list[b][1] || list[a][2] - list[b][2]);
singles.sort((a, b) => a[0] - b[0]);
const pages = new Uint8Array(0x110000 / 256 / 8);
for (const c of not_inert) pages[c >> 11] |= 1 << ((c >> 8) & 7);
let page_end = pages.length;
while (pages[page_end - 1] === 0) page_end--;

const parts = [
  '/* Of pages of 256 code points, by bit: something in it is to be looked at. */',
  table('uint8_t', 1, 'nfc_pages', [...pages.slice(0, page_end)]),
  '/* Runs to be looked at: low half of the first, then high byte, length, combining class. */',
  table('uint16_t', 2, 'nfc_run_low', cut.map((run) => run.begin & 0xffff)),
  table('uint8_t', 1, 'nfc_run_more', cut.flatMap((run) => [run.begin >> 16, run.end - run.begin, run.ccc])),
  '/* Whole and two parts, in order of wholes; and which may be composed, in order of parts. */',
  table('uint16_t', 2, 'nfc_low', low.flat()),
  table('uint16_t', 2, 'nfc_low_order', order(low)),
  table('uint32_t', 4, 'nfc_high', high.flat()),
  table('uint16_t', 2, 'nfc_high_order', order(high)),
  '/* One for one: the low half of each, in order of the first, and the high bytes. */',
  table('uint16_t', 2, 'nfc_single_low', singles.map(([, to]) => to & 0xffff)),
  table('uint8_t', 1, 'nfc_single_high', singles.map(([, to]) => to >> 16)),
];
// The firsts of singles come in runs.
const from = [];
for (const [i, [c]] of singles.entries()) {
  const last = from[from.length - 1];
  if (last && last.begin + last.count === c) last.count++;
  else from.push({ begin: c, count: 1, index: i });
}
parts.push('/* Runs of those firsts: the first, how many, the place in the tables above. */');
parts.push(table('uint32_t', 4, 'nfc_single_runs', from.flatMap(({ begin, count, index }) => [begin, count, index])));
console.log(`/* nfc_table.inc: what normalization form C changes; made by scripts/nfc.mjs, not by hand.
 *
 * Source: the Unicode character database 15.0.0, from Debian's package unicode-data, up to Unicode 9.0. ${bytes} bytes. */
/* clang-format off */
${parts.join('\n')}
/* clang-format on */`);
