// jobs.test.mjs: jobs that outlive their process: killed again and again, and nothing is submitted, billed or told twice.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { folder, moduleURL as module, sheaf } from './files_world.mjs';
import { simulator } from './world.mjs';

const { createClient, fileStore } = sheaf;
const paths = { openai: '/v1', anthropic: '', gemini: '/v1beta', mistral: '/v1' };
const child = fileURLToPath(new URL('jobs_child.mjs', import.meta.url));
const rounds = 5; // for each provider

const settingsOf = (provider, url) => ({
  provider, baseURL: url + paths[provider], model: 'sim-1', apiKey: 'k', ...(provider === 'anthropic' ? { maxTokens: 20 } : {}),
});
const statsOf = async (url) => (await fetch(`${url}/_sim/stats`)).json();

/** Numbers from a seed, so that a failure can be had again. */
function draws(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** The program once; killed after so many ms, or let end: then what it printed. */
async function ran(task, afterMs) {
  const program = spawn(process.execPath, [child, JSON.stringify(task)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  program.stdout.on('data', (text) => (said += text));
  const timer = afterMs === undefined ? undefined : setTimeout(() => program.kill('SIGKILL'), afterMs);
  const [code, signal] = await once(program, 'exit');
  clearTimeout(timer);
  if (signal === 'SIGKILL') return undefined;
  assert.equal(code, 0, said);
  return JSON.parse(said);
}

const expected = (id, count) => Array.from({ length: count }, (_, i) => (
  { customId: `row ${i}`, index: i, ok: true, text: `echo: ${id} ${i}`, metadata: { i } }));

for (const provider of Object.keys(paths))
  test(`${provider}: killed at any moment, every row is billed once and told once`, async (t) => {
    const sim = await simulator(['--batch-time', 'fixed:300']);
    t.after(sim.stop);
    const draw = draws(provider.length * 7919), home = folder();
    let kills = 0, sent = 0;
    for (let round = 0; round < rounds; round++) {
      // Anthropic's jobs have no place for a mark: one that was perhaps created is known by its time and its rows.
      const id = `${provider} ${round}`, count = 40 + round;
      const task = {
        module, client: settingsOf(provider, sim.url), folder: home, id, count,
        options: provider === 'anthropic' ? {} : { maxRequestsPerJob: 25 },
      };
      let results;
      for (let tries = 0; results === undefined; tries++) {
        results = await ran(task, tries < 4 ? 60 + draw() * 400 : undefined);
        if (results === undefined) kills++;
      }
      assert.deepEqual(results.map(({ lane, ...rest }) => rest), expected(id, count));
      assert.ok(results.every(({ lane }) => lane === 'batch'));
      sent += count;
      const { billed, billed_batch: inJobs, again } = await statsOf(sim.url);
      assert.equal(billed.requests, sent, `after round ${round}`);
      assert.equal(inJobs.requests, billed.requests);
      assert.equal(again.billed, 0);
    }
    assert.ok(kills >= rounds, `${kills} kills`);
  });

test('a torn end of the records is cut off', async (t) => {
  const sim = await simulator(['--batch-time', 'fixed:20']);
  const client = await createClient(settingsOf('openai', sim.url));
  t.after(async () => {
    await client.close();
    await sim.stop();
  });
  const home = folder(), store = fileStore(home);
  await client.jobs.submit(['one', 'two'], { store, id: 'torn' });
  const path = join(home, 'torn', 'records.sheaf'), whole = readFileSync(path).length;
  appendFileSync(path, new Uint8Array(37).fill(7));
  const results = await client.jobs.wait('torn', { store, pollIntervalMs: 100 });
  assert.deepEqual(results.map(({ text }) => text), ['echo: one', 'echo: two']);
  assert.ok(readFileSync(path).length > whole);
  assert.equal((await client.jobs.list({ store }))[0].done, true);
  assert.equal((await statsOf(sim.url)).billed.requests, 2);
});

test('two processes do not look after one submission at a time', async (t) => {
  const sim = await simulator(['--batch-time', 'fixed:2000']);
  const client = await createClient(settingsOf('openai', sim.url));
  t.after(async () => {
    await client.close();
    await sim.stop();
  });
  const home = folder(), store = fileStore(home), other = fileStore(home);
  await client.jobs.submit(['one'], { store, id: 'shared' });
  const waiting = client.jobs.wait('shared', { store, pollIntervalMs: 100, timeoutMs: 1000 }).catch((error) => error.code);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await assert.rejects(client.jobs.status('shared', { store: other }), { code: 'E_OTHER_RUN' });
  assert.equal(await waiting, 'E_LATER');
  assert.equal((await client.jobs.status('shared', { store: other })).jobs.length, 1);
});
