// batch_anthropic.test.mjs: npm `@anthropic-ai/sdk` against the simulator: whole cycles of batches.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as rest } from 'node:timers/promises';
import Anthropic from '@anthropic-ai/sdk';
import { collect, fault, patience, rejection, startSim } from './support.mjs';

const client = (sim, options = {}) =>
  new Anthropic({
    apiKey: 'sk-test',
    baseURL: sim.url,
    maxRetries: 0,
    timeout: patience,
    ...options,
  });

const questions = ['how many', 'grains of sand', 'make a heap', 'and who', 'counts them'];
const params = (text, more = {}) => ({
  model: 'claude-sim',
  max_tokens: 64,
  messages: [{ role: 'user', content: text }],
  ...more,
});
const requests = questions.map((text, n) => ({ custom_id: `row-${n}`, params: params(text) }));

async function end(anthropic, id) {
  for (;;) {
    const batch = await anthropic.messages.batches.retrieve(id);
    if (batch.processing_status === 'ended') return batch;
    await rest(20);
  }
}

test('a batch goes its whole way: create, poll, results', async (t) => {
  const sim = await startSim(t, '--batch-time', '200');
  const anthropic = client(sim);
  const made = await anthropic.messages.batches.create({ requests });
  assert.equal(made.processing_status, 'in_progress');
  assert.equal(made.request_counts.processing, 5);
  assert.equal(made.results_url, null);
  const batch = await end(anthropic, made.id);
  assert.deepEqual(batch.request_counts, {
    processing: 0,
    succeeded: 5,
    errored: 0,
    canceled: 0,
    expired: 0,
  });
  assert.ok(batch.results_url);
  const rows = await collect(await anthropic.messages.batches.results(made.id));
  assert.deepEqual(
    rows.map((row) => row.custom_id).sort(),
    requests.map((row) => row.custom_id),
  );
  assert.notEqual(rows[0].custom_id, 'row-0');
  for (const row of rows) {
    const live = await anthropic.messages.create(params(questions[Number(row.custom_id.slice(4))]));
    assert.equal(row.result.type, 'succeeded');
    assert.equal(row.result.message.content[0].text, live.content[0].text);
    assert.equal(row.result.message.stop_reason, live.stop_reason);
    assert.deepEqual(row.result.message.usage, live.usage);
  }
});

test('a row that fails live is errored in a batch', async (t) => {
  const sim = await startSim(t, '--batch-time', '0');
  const anthropic = client(sim);
  const wrong = params('x', { temperature: 7 });
  const made = await anthropic.messages.batches.create({
    requests: [requests[0], { custom_id: 'wrong', params: wrong }],
  });
  assert.equal((await end(anthropic, made.id)).request_counts.errored, 1);
  const rows = await collect(await anthropic.messages.batches.results(made.id));
  const row = rows.find((one) => one.custom_id === 'wrong');
  const live = await rejection(anthropic.messages.create(wrong));
  assert.equal(row.result.type, 'errored');
  assert.equal(row.result.error.type, 'error');
  assert.deepEqual(row.result.error.error, live.error.error);
});

test('a batch is cancelled, and deleted when it has ended', async (t) => {
  const sim = await startSim(t, '--batch-time', '500', '--batch-quirk', 'stuck');
  const anthropic = client(sim);
  const made = await anthropic.messages.batches.create({ requests });
  const early = await rejection(anthropic.messages.batches.delete(made.id));
  assert.ok(early instanceof Anthropic.BadRequestError, `${early}`);
  assert.equal((await anthropic.messages.batches.cancel(made.id)).processing_status, 'canceling');
  assert.equal((await end(anthropic, made.id)).request_counts.canceled, 5);
  for (const row of await collect(await anthropic.messages.batches.results(made.id))) {
    assert.equal(row.result.type, 'canceled');
  }
  const gone = await anthropic.messages.batches.delete(made.id);
  assert.deepEqual(gone, { id: made.id, type: 'message_batch_deleted' });
  assert.ok(
    (await rejection(anthropic.messages.batches.retrieve(made.id))) instanceof
      Anthropic.NotFoundError,
  );
});

test('rows expire', async (t) => {
  const sim = await startSim(t, '--batch-time', '0', '--batch-partial', '1');
  const anthropic = client(sim);
  const made = await anthropic.messages.batches.create({ requests });
  const { request_counts: counts } = await end(anthropic, made.id);
  assert.deepEqual([counts.succeeded, counts.expired], [2, 3]);
  const rows = await collect(await anthropic.messages.batches.results(made.id));
  assert.equal(rows.filter((row) => row.result.type === 'expired').length, 3);
});

test('lists go over their pages by themselves', async (t) => {
  const sim = await startSim(t, '--batch-time', '600000');
  const anthropic = client(sim);
  const made = [];
  for (let n = 0; n < 7; n++)
    made.unshift((await anthropic.messages.batches.create({ requests })).id);
  const { result, received } = await sim.during(() =>
    collect(anthropic.messages.batches.list({ limit: 3 })),
  );
  assert.deepEqual(
    result.map((batch) => batch.id),
    made,
  );
  assert.equal(received, 3);
  const back = await collect(anthropic.messages.batches.list({ limit: 3, before_id: made[6] }));
  assert.deepEqual(new Set(back.map((batch) => batch.id)), new Set(made.slice(0, 6)));
});

test('what is wrong refuses the whole batch', async (t) => {
  const sim = await startSim(t);
  const anthropic = client(sim);
  const error = await rejection(
    anthropic.messages.batches.create({
      requests: [requests[0], { custom_id: 'no spaces', params: params('x') }],
    }),
  );
  assert.ok(error instanceof Anthropic.BadRequestError);
  assert.equal(error.type, 'invalid_request_error');
  assert.match(error.message, /requests\.1\.custom_id/);
});

test('results too early are an error, a failed poll is tried again', async (t) => {
  const sim = await startSim(t, '--batch-time', '600000');
  const anthropic = client(sim, { maxRetries: 2 });
  const made = await anthropic.messages.batches.create({ requests });
  assert.ok(
    (await rejection(anthropic.messages.batches.results(made.id))) instanceof
      Anthropic.AnthropicError,
  );
  const { result, received } = await sim.during(() =>
    anthropic.messages.batches.retrieve(made.id, {}, fault('529')),
  );
  assert.equal(result.id, made.id);
  assert.equal(received, 2);
});
