// tokens.mjs: how fast sheaf/tokens is, in MB of CPU time a second, and how long from its import to the first count.
//
//   node bench/tokens.mjs PACKAGE [ENCODING] TEXT...     PACKAGE: what build.mjs made; medians of 9 turns
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [, self, folder, ...given] = process.argv;
const entry = pathToFileURL(join(folder, 'dist/tokens-node.js'));
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];

if (given[0] === '--first') {
  const began = cpu(), started = performance.now();
  const { loadEncoding } = await import(entry);
  (await loadEncoding(given[1])).count('hello world');
  console.log(JSON.stringify([cpu() - began, performance.now() - started]));
  process.exit();
}

const { loadEncoding } = await import(entry);
const encoding = /^[a-z0-9_]+$/.test(given[0] ?? '.') ? given.shift() : 'o200k_base';
const first = Array.from({ length: 9 }, () => JSON.parse(execFileSync(process.execPath, [self, folder, '--first', encoding], { encoding: 'utf8' })));
console.log(`${encoding}: import to first count ${median(first.map(([ms]) => ms)).toFixed(1)} ms of CPU, ${median(first.map(([, ms]) => ms)).toFixed(1)} ms`);

function rate(bytes, act) {
  const took = Array.from({ length: 9 }, () => {
    const began = cpu();
    act();
    return cpu() - began;
  });
  const [once] = took;
  return `${(bytes / 1000 / median(took)).toFixed(1)} (the first time ${(bytes / 1000 / once).toFixed(1)})`;
}

for (const path of given) {
  const tokenizer = await loadEncoding(encoding);
  const text = readFileSync(path, 'utf8'), bytes = Buffer.byteLength(text);
  const pieces = text.match(/[^]{1,400}/g);
  console.log(`${basename(path)}: count ${rate(bytes, () => tokenizer.count(text))}, encode ${rate(bytes, () => tokenizer.encode(text))}, ` +
    `in texts of 400 letters ${rate(bytes, () => pieces.forEach((piece) => tokenizer.count(piece)))} MB/s`);
  tokenizer.close();
}
