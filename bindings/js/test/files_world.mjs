// files_world.mjs: what the tests of files and of states share: folders, the simulator's books, the command as the other side.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { bin, packageDir, workDir } from './paths.mjs';

export const moduleURL = pathToFileURL(join(packageDir, 'dist/node.js')).href;
export const sheaf = await import(moduleURL);
const child = fileURLToPath(new URL('files_child.mjs', import.meta.url));

export function folder() {
  mkdirSync(workDir, { recursive: true });
  return mkdtempSync(join(workDir, 'files-'));
}

export const rowsOf = (count, more = () => ({})) =>
  Array.from({ length: count }, (_, i) => ({ custom_id: `id ${i} "ü"`, prompt: `prompt ${i}`, ...more(i) }));

export function writeRows(path, rows) {
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

export const linesOf = (path) => readFileSync(path, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));

/** What must not depend on how often a run was cut short. */
export const outcome = ({ custom_id, error, sheaf: own }) => ({
  custom_id, index: own.index, ok: error === null, text: own.text, usage: own.usage, fingerprint: own.fingerprint,
});

export const clientOptions = (url, more = {}) => ({ provider: 'openai', baseURL: `${url}/v1`, model: 'm', ...more });

/** The command on the same files. Its exit code and what it says. */
export async function command(url, input, output, ...more) {
  return promisify(execFile)(bin, ['run', input, '-o', output, '--base-url', `${url}/v1`, '--model', 'm', ...more], { timeout: 60000 })
    .then(({ stderr }) => ({ code: 0, stderr }), (error) => ({ code: error.code, stderr: error.stderr }));
}

export const commandArgs = (url, input, output, ...more) =>
  [bin, ['run', input, '-o', output, '--base-url', `${url}/v1`, '--model', 'm', '--quiet', ...more]];

export const childArgs = (url, input, output, options = {}, client = {}) =>
  [process.execPath, [child, JSON.stringify({ module: moduleURL, client: clientOptions(url, client), input, output, options })]];

const sizeOf = (path) => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

/** Starts a program and kills it when the output has grown by so many bytes. True: it came to its end before. */
export async function killed([file, args], output, bytes) {
  const before = sizeOf(output);
  const program = spawn(file, args, { stdio: 'ignore' });
  const ended = once(program, 'exit');
  while (program.exitCode === null && sizeOf(output) < before + bytes) await sleep(1);
  const isOver = program.exitCode !== null;
  program.kill('SIGKILL');
  await ended;
  return isOver;
}

export async function toEnd([file, args]) {
  const { stdout } = await promisify(execFile)(file, args, { timeout: 60000 }).catch((error) => error);
  return stdout ? JSON.parse(stdout) : undefined;
}

/** Models whose requests the simulator answered for money more than once, where every request has its own. */
export async function billedAgain(url) {
  const { entries, lost } = await (await fetch(`${url}/_sim/ledger`)).json();
  if (lost) throw new Error('the ledger is not whole');
  const counts = new Map();
  for (const { model, billed } of entries) if (billed) counts.set(model, (counts.get(model) ?? 0) + 1);
  return [...counts].filter(([, count]) => count > 1).map(([model]) => model);
}

/** Lines that say their row may have been billed more than once. */
export const reportedAgain = (lines) =>
  lines.filter(({ sheaf: own }) =>
    own.resent_unknown || (own.history ?? []).slice(0, -1).some(({ billing }) => billing === 'unknown' || billing === 'billed'));
