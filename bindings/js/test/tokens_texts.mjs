// tokens_texts.mjs: texts to compare tokenizers on, drawn from a seed, and the native tokenizer beside.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Numbers from 0 to before 1, always the same ones (xorshift32: Marsaglia, 2003). */
export function numbers(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

const pieces = [
  'the', ' of', 'Hello', ' WORLD', 'camelCase', "don't", " they'LL", "I'D", ' 1234567', '3.14', '\n', '\r\n', '\n\n  ', '\t', '   ', ' ',
  '!!', '...', ' -> ', '/*', '*/\n', 'é', 'École', 'e\u0301', 'ſ', "'ſ", '漢字', 'かな', '한국어', 'שלום', 'العربية', 'नमस्ते', 'ไทย',
  '👍🏽', '👨‍👩‍👧', '\u00a0', '\u2003', '\u200b', '\ufeff', '\u0000', '<|endoftext|>', '<|im_start|>', '<|endof', 'https://a.b/c?d=e', '====',
];
const blocks = [[0, 0x7f], [0, 0x24f], [0x370, 0x5ff], [0x900, 0x9ff], [0x2000, 0x206f], [0x4e00, 0x9fff], [0xac00, 0xd7a3], [0x1f300, 0x1f9ff], [0x10000, 0x2ffff]];

/** Files of the sources, which are real text. */
function realText(root) {
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(js|md|json)$/.test(entry.name)).map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  return files.map((path) => readFileSync(path, 'utf8')).join('\n');
}

/** So many texts: slices of real ones, pieces one after another, code points at random, runs; well-formed all. */
export function texts(count, root, seed = 20260101) {
  const next = numbers(seed), below = (end) => Math.floor(next() * end), pick = (list) => list[below(list.length)];
  const real = realText(root);
  const kinds = [
    () => {
      const at = below(real.length);
      return real.slice(at, at + below(700));
    },
    () => Array.from({ length: below(25) }, () => pick(pieces)).join(''),
    () => {
      const [from, to] = pick(blocks);
      return String.fromCodePoint(...Array.from({ length: below(40) }, () => from + below(to - from + 1)).filter((c) => c < 0xd800 || c > 0xdfff));
    },
    () => pick(pieces).repeat(below(200)),
  ];
  return Array.from({ length: count }, () => pick(kinds)().toWellFormed?.() ?? '');
}

/** The ids that the native tokenizer gives: tests/tokens/tokens_tool.c on a pipe. */
export function nativeIds(tool, vocabulary, list) {
  const bodies = list.map((text) => Buffer.from(text, 'utf8'));
  const input = Buffer.concat(bodies.flatMap((body) => [Buffer.from(`encode text ${body.length}\n`), body]));
  const { stdout, status, stderr } = spawnSync(tool, ['serve', vocabulary], { input, maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`tokens_tool: ${stderr}`);
  let at = 0;
  return bodies.map(() => {
    const end = stdout.indexOf(10, at), [state, count, word] = stdout.toString('latin1', at, end).split(' ');
    if (state !== 'SHEAF_OK' || word !== '-') throw new Error(`tokens_tool: ${state} ${word}`);
    const bytes = stdout.subarray(end + 1, end + 1 + Number(count));
    at = end + 1 + Number(count);
    return new Uint32Array(Uint8Array.from(bytes).buffer);
  });
}
