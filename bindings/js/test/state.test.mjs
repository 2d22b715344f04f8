// state.test.mjs: runs that end before their work does, and what goes on with them: this package, without files, or the command.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';

import { billedAgain, clientOptions, command, folder, linesOf, rowsOf, sheaf } from './files_world.mjs';
import { simulator } from './world.mjs';

const { createClient, joinState, readState, runFile, splitState, writeRequests, writeState } = sheaf;

async function place(t, simOptions = [], client = {}) {
  const sim = await simulator(['--latency', 'fixed:20', ...simOptions]);
  const made = await createClient(clientOptions(sim.url, { concurrency: 8, ...client }));
  t.after(async () => {
    await made.close();
    await sim.stop();
  });
  return { url: sim.url, client: made };
}

const requests = rowsOf(60).map(({ custom_id: customId, prompt }, i) => ({ customId, prompt, model: `m${i}`, metadata: { i } }));
const received = async (url) => (await (await fetch(`${url}/_sim/stats`)).json()).received;
const essence = ({ customId, index, ok, text, usage, metadata, fingerprint, model, finishReason, toolCalls, billing, attempts }) =>
  ({ customId, index, ok, text, usage, metadata, fingerprint, model, finishReason, toolCalls, billing, attempts });

test('a budget of requests is never exceeded, and the rest follows in parts', async (t) => {
  const { url, client } = await place(t);
  let results = await client.batch(requests, { budget: { requests: 25 } });
  let sent = await received(url);
  assert.equal(sent, 25);
  assert.equal(results.length, 25);
  let parts = 1;
  for (; results.state; parts++) {
    results = await client.resume(results.state, requests, { budget: { requests: 25 } });
    assert.ok((await received(url)) - sent <= 25);
    sent = await received(url);
  }
  assert.equal(parts, 3);
  assert.equal(sent, 60);
  assert.deepEqual(await billedAgain(url), []);
  const whole = await client.batch(requests);
  assert.deepEqual(results.map(essence), whole.map(essence));
  assert.deepEqual(results.map((result) => result.index), requests.map((_, i) => i));
  assert.equal(results.stats.total, 60);
});

test('retries count against the budget, and what failed for want of it runs again', async (t) => {
  const { url, client } = await place(t, ['--fault', '500:0.3'], { retryBaseMs: 1, maxRetries: 20 });
  let results, state, sent = 0;
  for (let parts = 0; parts < 20; parts++) {
    results = await (state ? client.resume(state, requests, { budget: { requests: 20 } }) : client.batch(requests, { budget: { requests: 20 } }));
    assert.ok((await received(url)) - sent <= 20);
    sent = await received(url);
    state = results.state;
    if (!state) break;
  }
  assert.equal(state, undefined);
  assert.equal(results.failures.length, 0);
  assert.deepEqual(results.map((result) => result.text), (await client.batch(requests)).map((result) => result.text));
});

test('a budget of time ends a run with what it has', async (t) => {
  const { url, client } = await place(t, ['--latency', 'fixed:50']);
  const first = await client.batch(requests, { budget: { ms: 300 } });
  assert.ok(first.state instanceof Uint8Array);
  assert.ok(first.length > 0 && first.length < 60);
  assert.ok(first.every((result) => result.ok));
  const rest = await client.resume(first.state, requests);
  assert.equal(rest.state, undefined);
  assert.equal(rest.length, 60);
  assert.deepEqual(await billedAgain(url), rest.filter((result) => result.resentUnknown).map((result) => `m${result.index}`));
});

test('the command goes on with a state, and a state with what the command left', async (t) => {
  const { url, client } = await place(t);
  const dir = folder(), input = join(dir, 'in.jsonl'), output = join(dir, 'out.jsonl');
  const { state } = await client.batch(requests, { budget: { requests: 20 } });
  writeRequests(requests, input);
  await writeState(state, output);
  assert.equal(linesOf(output).length, 20);
  assert.equal((await command(url, input, output, '--resume', '--limit', '40')).code, 0);
  assert.equal(await received(url), 40);
  assert.equal(linesOf(output).length, 40);
  const rest = await client.resume(await readState(output), requests);
  assert.equal(await received(url), 60);
  assert.deepEqual(rest.map(essence), (await client.batch(requests)).map(essence));
  // And the file with runFile.
  assert.equal((await runFile(client, input, output, { resume: 'required' })).skipped, 40);
  assert.deepEqual(linesOf(output).map((line) => line.custom_id), requests.map((request) => request.customId));
});

test('a state holds the two files and no more than its rows need', async (t) => {
  const { client } = await place(t);
  const { state } = await client.batch(requests, { budget: { requests: 59 } });
  const parts = await splitState(state);
  assert.equal(new TextDecoder().decode(parts.output).split('\n').length - 1, 59);
  assert.deepEqual(await splitState(await joinState(parts)), parts);
  assert.ok(state.length / 59 < 400, `${state.length / 59} bytes a row`);
  assert.ok(parts.log.length / 59 < 60);
  t.diagnostic(`${(state.length / 59).toFixed(0)} bytes a row; log and lines ${((parts.log.length + parts.output.length) / 59).toFixed(0)}`);
});

test('wrong states and other requests are refused', async (t) => {
  const { client, url } = await place(t);
  const { state } = await client.batch(requests, { budget: { requests: 10 } });
  const sent = await received(url);
  const refusal = (given, rows = requests) => client.resume(given, rows).then(() => assert.fail('it was taken'), (error) => error.code);
  assert.equal(await refusal(new Uint8Array(5)), 'E_CORRUPT');
  assert.equal(await refusal(state.slice(0, -9)), 'E_CORRUPT');
  const { log, output } = await splitState(state);
  const spoilt = output.slice();
  spoilt[3] = 0;
  assert.equal(await refusal(await joinState({ log, output: spoilt })), 'E_CORRUPT');
  assert.equal(await refusal(state, requests.map((request) => ({ ...request, prompt: 'another' }))), 'E_OTHER_RUN');
  assert.equal(await refusal(state, [...requests, requests[0]]), 'E_DUPLICATE');
  assert.ok((await received(url)) <= sent + 60);
  for (const budget of [{ ms: 0 }, { requests: -1 }, { ms: NaN }])
    await assert.rejects(client.batch(requests, { budget }), { code: 'E_RANGE' });
});

test('tool calls, failures and refusals come back from a state as they were', async (t) => {
  const { client } = await place(t);
  const mixed = [
    { customId: 'tool', messages: [{ role: 'user', content: 'x' }], tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }], toolChoice: 'required' },
    { customId: 'bad', prompt: 'x', url: '/v1/nothing' }, { customId: 'plain', prompt: 'y' }, 'z',
  ];
  const first = await client.batch(mixed, { budget: { requests: 2 } });
  const again = await client.resume(first.state, mixed);
  assert.equal(again.length, 4);
  for (const result of first) {
    const { latencyMs, queueMs, totalMs, ...stays } = again.find(({ customId }) => customId === result.customId);
    const { latencyMs: a, queueMs: b, totalMs: c, ...was } = result;
    assert.deepEqual(stays, was);
  }
});
