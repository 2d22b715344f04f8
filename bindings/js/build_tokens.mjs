// build_tokens.mjs: the part of the package that counts: sheaf-tokens.wasm, the vocabularies, and a small module for each.
//
//   vocabularies are built here, by the module itself, from the rank files that scripts/vocab --ranks fetches
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The encodings that ship, and the rank file of each. */
export const encodings = {
  o200k_base: 'o200k_base', o200k_harmony: 'o200k_base', cl100k_base: 'cl100k_base', p50k_base: 'p50k_base',
  p50k_edit: 'p50k_base', r50k_base: 'r50k_base', gpt2: 'r50k_base',
};

/** The entries of sheaf/tokens: dist/tokens-NAME.js. */
export const tokenEntries = { node: 'node', browser: 'browser', workerd: 'neutral', edge: 'neutral' };

const address = (name) => `new URL('./${name}.bin', import.meta.url)`;
const moduleOf = {
  node: (name) => `import { readFile } from 'node:fs/promises';
export default { name: '${name}', load: () => readFile(${address(name)}) };\n`,
  browser: (name) => `export default { name: '${name}', load: () => ${address(name)} };\n`,
  workerd: (name) => `import bytes from './${name}.bin';
export default { name: '${name}', load: () => bytes };\n`,
};

// The rank files are OpenAI's, published with tiktoken; its licence goes with what is made from them.
const licence = `The vocabularies in this folder are made from the rank files of OpenAI's tiktoken:

MIT License

Copyright (c) 2022 OpenAI, Shantanu Jain

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`;

/** What is not there of what the build needs. */
export function missing(wasm, ranks) {
  return [wasm, ...new Set(Object.values(encodings))].map((name, i) => (i ? join(ranks, `${name}.tiktoken`) : name))
    .find((path) => !existsSync(path));
}

/** After the entries were bundled into dist: the rest. */
export async function makeTokens(dist, wasm, ranks) {
  const folder = join(dist, 'tokens');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'LICENSE'), licence);
  copyFileSync(wasm, join(dist, 'sheaf-tokens.wasm'));
  const { buildVocabulary } = await import(pathToFileURL(join(dist, 'tokens-node.js')));
  for (const [name, file] of Object.entries(encodings)) {
    writeFileSync(join(folder, `${name}.bin`), await buildVocabulary(readFileSync(join(ranks, `${file}.tiktoken`)), name));
    for (const [runtime, code] of Object.entries(moduleOf)) writeFileSync(join(folder, `${name}.${runtime}.js`), code(name));
  }
}
