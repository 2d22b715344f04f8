// world.mjs: the simulators that one run of the suite talks to; new ones for each, because they remember what they saw.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

import { bin } from './paths.mjs';

const key = 'a-key-of-the-simulator';
const retryAfterMs = 150;
const rules = fileURLToPath(new URL('rules.jsonl', import.meta.url));

/** `sheaf sim` with these options: its address, and how it ends. */
export async function simulator(options) {
  const child = spawn(bin, ['sim', '--port', '0', ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  let complaint = '';
  child.stderr.on('data', (text) => (complaint += text));
  const early = ended.then(() => Promise.reject(new Error(`sheaf sim ended at once: ${complaint}`)));
  const [line] = await Promise.race([once(child.stdout, 'data'), early]);
  early.catch(() => {});
  child.stdout.resume();
  const stop = async () => {
    child.kill();
    await ended;
  };
  return { url: String(line).split('\n')[0].trim(), stop };
}

/** A port that was free a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Calls `act` with what the suite calls its world, which ends with it. */
export async function inWorld(act) {
  const main = await simulator([
    '--latency', 'fixed:5', '--retry-after', String(retryAfterMs), '--faults', rules,
    '--models', 'sim-1,embed-1',
  ]);
  const keyed = await simulator(['--key', key]);
  const slow = await simulator(['--itl', 'fixed:20']);
  const jobs = await simulator(['--batch-time', 'fixed:120', '--models', 'sim-1,embed-1']);
  const partial = await simulator(['--batch-time', 'fixed:100', '--batch-partial', '1', '--batch-expire', '300']);
  const long = await simulator(['--batch-time', 'fixed:1500']);
  try {
    return await act({
      jobsUrl: jobs.url, partialUrl: partial.url, longUrl: long.url,
      url: main.url, keyedUrl: keyed.url, slowUrl: slow.url, key, retryAfterMs, nowhere: `http://127.0.0.1:${await freePort()}/v1`,
    });
  } finally {
    await Promise.all([main, keyed, slow, jobs, partial, long].map((each) => each.stop()));
  }
}
