// batch_openai.test.mjs: npm `openai` against the simulator: files and batches, whole cycles.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as rest } from 'node:timers/promises';
import OpenAI, { AzureOpenAI, toFile } from 'openai';
import { collect, fault, patience, rejection, startSim } from './support.mjs';

const client = (sim, options = {}) =>
  new OpenAI({
    apiKey: 'sk-test',
    baseURL: `${sim.url}/v1`,
    maxRetries: 0,
    timeout: patience,
    ...options,
  });

const over = new Set(['completed', 'failed', 'expired', 'cancelled']);
const questions = ['how many', 'grains of sand', 'make a heap', 'and who', 'counts them'];
const chat = (text, more = {}) => ({
  model: 'gpt-sim',
  messages: [{ role: 'user', content: text }],
  ...more,
});

/** The file of a batch: a row for each body. */
const input = (bodies, url = '/v1/chat/completions') =>
  toFile(
    Buffer.from(
      bodies
        .map(
          (body, n) => JSON.stringify({ custom_id: `row-${n}`, method: 'POST', url, body }) + '\n',
        )
        .join(''),
    ),
    'input.jsonl',
  );

/** Uploads and makes the batch. */
async function begin(openai, bodies, endpoint = '/v1/chat/completions', more = {}) {
  const file = await openai.files.create({ file: await input(bodies, endpoint), purpose: 'batch' });
  return await openai.batches.create({
    input_file_id: file.id,
    endpoint,
    completion_window: '24h',
    ...more,
  });
}

async function end(openai, id) {
  for (;;) {
    const batch = await openai.batches.retrieve(id);
    if (over.has(batch.status)) return batch;
    await rest(20);
  }
}

async function lines(openai, id) {
  const text = await (await openai.files.content(id)).text();
  assert.ok(text.endsWith('\n'), 'the last line is ended');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('a batch goes its whole way: upload, create, poll, download', async (t) => {
  const sim = await startSim(t, '--batch-time', '200');
  const openai = client(sim);
  const file = await openai.files.create({
    file: await input(questions.map((text) => chat(text))),
    purpose: 'batch',
  });
  assert.equal(file.object, 'file');
  assert.equal(file.purpose, 'batch');
  assert.equal((await openai.files.waitForProcessing(file.id)).status, 'processed');
  const made = await openai.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    metadata: { run: 'seven' },
  });
  assert.equal(made.status, 'validating');
  assert.deepEqual(made.metadata, { run: 'seven' });
  const batch = await end(openai, made.id);
  assert.equal(batch.status, 'completed');
  assert.deepEqual(batch.request_counts, { total: 5, completed: 5, failed: 0 });
  assert.equal(batch.model, 'gpt-sim');
  const rows = await lines(openai, batch.output_file_id);
  assert.deepEqual(rows.map((row) => row.custom_id).sort(), [
    'row-0',
    'row-1',
    'row-2',
    'row-3',
    'row-4',
  ]);
  for (const row of rows) {
    const live = await openai.chat.completions.create(
      chat(questions[Number(row.custom_id.slice(4))]),
    );
    assert.equal(row.response.status_code, 200);
    assert.equal(row.error, null);
    assert.equal(row.response.body.choices[0].message.content, live.choices[0].message.content);
    assert.equal(row.response.body.choices[0].finish_reason, live.choices[0].finish_reason);
    assert.deepEqual(row.response.body.usage, live.usage);
  }
  const sum = (field) => rows.reduce((all, row) => all + row.response.body.usage[field], 0);
  assert.equal(batch.usage.input_tokens, sum('prompt_tokens'));
  assert.equal(batch.usage.output_tokens, sum('completion_tokens'));
});

test('a row that fails live fails alike in a batch, in the file for errors', async (t) => {
  const sim = await startSim(t, '--batch-time', '0');
  const openai = client(sim);
  const wrong = chat('x', { temperature: 9 });
  const batch = await end(openai, (await begin(openai, [chat('y'), wrong])).id);
  assert.equal(batch.status, 'completed');
  assert.deepEqual(batch.request_counts, { total: 2, completed: 1, failed: 1 });
  const [row] = await lines(openai, batch.error_file_id);
  const live = await rejection(openai.chat.completions.create(wrong));
  assert.equal(row.custom_id, 'row-1');
  assert.equal(row.error, null);
  assert.equal(row.response.status_code, live.status);
  assert.deepEqual(row.response.body.error, live.error);
});

test('responses, embeddings and completions run in batches, too', async (t) => {
  const sim = await startSim(t, '--batch-time', '0');
  const openai = client(sim);
  for (const [endpoint, body, object] of [
    ['/v1/responses', { model: 'gpt-sim', input: 'x' }, 'response'],
    ['/v1/embeddings', { model: 'embed-sim', input: ['x', 'y'] }, 'list'],
    ['/v1/completions', { model: 'gpt-sim', prompt: 'x' }, 'text_completion'],
  ]) {
    const batch = await end(openai, (await begin(openai, [body], endpoint)).id);
    const [row] = await lines(openai, batch.output_file_id);
    assert.equal(row.response.body.object, object, endpoint);
  }
});

test('an input that is wrong fails the batch and says where', async (t) => {
  const sim = await startSim(t, '--batch-time', '0');
  const openai = client(sim);
  const batch = await end(
    openai,
    (await begin(openai, [chat('x'), chat('y', { model: 'other' })])).id,
  );
  assert.equal(batch.status, 'failed');
  assert.equal(batch.errors.data.length, 1);
  assert.equal(batch.errors.data[0].code, 'model_mismatch');
  assert.equal(batch.errors.data[0].line, 2);
});

test('a batch is cancelled', async (t) => {
  const sim = await startSim(t, '--batch-time', '500', '--batch-quirk', 'stuck');
  const openai = client(sim);
  const made = await begin(openai, [chat('x')]);
  assert.equal((await openai.batches.cancel(made.id)).status, 'cancelling');
  assert.equal((await end(openai, made.id)).status, 'cancelled');
  const error = await rejection(openai.batches.cancel(made.id));
  assert.ok(error instanceof OpenAI.ConflictError, `${error}`);
});

test('an expired batch has both files', async (t) => {
  const sim = await startSim(t, '--batch-time', '0', '--batch-partial', '1');
  const openai = client(sim);
  const batch = await end(
    openai,
    (
      await begin(
        openai,
        questions.map((text) => chat(text)),
      )
    ).id,
  );
  assert.equal(batch.status, 'expired');
  const [good, bad] = [
    await lines(openai, batch.output_file_id),
    await lines(openai, batch.error_file_id),
  ];
  assert.equal(good.length + bad.length, questions.length);
  for (const row of bad) assert.equal(row.error.code, 'batch_expired');
});

test('lists of batches and files go over their pages by themselves', async (t) => {
  const sim = await startSim(t, '--batch-time', '600000');
  const openai = client(sim);
  const made = [];
  for (let n = 0; n < 7; n++) made.unshift((await begin(openai, [chat(`${n}`)])).id);
  const { result, received } = await sim.during(() => collect(openai.batches.list({ limit: 3 })));
  assert.deepEqual(
    result.map((batch) => batch.id),
    made,
  );
  assert.equal(received, 3);
  const files = await collect(openai.files.list({ limit: 2, purpose: 'batch', order: 'asc' }));
  assert.equal(new Set(files.map((file) => file.id)).size, 7);
  const page = await openai.batches.list();
  assert.equal(page.data.length, 7);
  assert.equal(page.has_more, false);
});

test('files are retrieved, downloaded as they were, and deleted', async (t) => {
  const sim = await startSim(t);
  const openai = client(sim);
  const bytes = Buffer.from(Array.from({ length: 70000 }, (_, n) => (n * 7) % 256));
  const made = await openai.files.create({
    file: await toFile(bytes, 'data.bin'),
    purpose: 'user_data',
    expires_after: { anchor: 'created_at', seconds: 3600 },
  });
  assert.equal(made.bytes, bytes.length);
  assert.equal(made.expires_at, made.created_at + 3600);
  assert.deepEqual(await openai.files.retrieve(made.id), made);
  const back = Buffer.from(await (await openai.files.content(made.id)).arrayBuffer());
  assert.ok(back.equals(bytes));
  assert.equal((await openai.files.delete(made.id)).deleted, true);
  assert.ok((await rejection(openai.files.retrieve(made.id))) instanceof OpenAI.NotFoundError);
});

test('what does not exist is a NotFoundError, what is wrong a BadRequestError', async (t) => {
  const sim = await startSim(t);
  const openai = client(sim);
  assert.ok(
    (await rejection(openai.batches.retrieve('batch_none'))) instanceof OpenAI.NotFoundError,
  );
  assert.ok((await rejection(openai.files.content('file-none'))) instanceof OpenAI.NotFoundError);
  const error = await rejection(
    openai.batches.create({
      input_file_id: 'file-none',
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    }),
  );
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.equal(error.param, 'input_file_id');
});

test('a poll that fails is tried again by the client', async (t) => {
  const sim = await startSim(t, '--batch-time', '0');
  const openai = client(sim, { maxRetries: 2 });
  const made = await begin(openai, [chat('x')]);
  const { result, received } = await sim.during(() =>
    openai.batches.retrieve(made.id, fault('500')),
  );
  assert.equal(result.id, made.id);
  assert.equal(received, 2);
});

test("Azure's client goes the same way, and meets what Azure does otherwise", async (t) => {
  const sim = await startSim(t, '--batch-time', '0', '--batch-quirk', 'azure');
  const azure = new AzureOpenAI({
    apiKey: 'k',
    endpoint: sim.url,
    apiVersion: '2024-10-21',
    maxRetries: 0,
    timeout: patience,
  });
  const made = await begin(azure, [chat('x'), chat('y')]);
  assert.equal(made.status, 'Validating');
  let batch = made;
  while (batch.status !== 'Completed') {
    await rest(20);
    batch = await azure.batches.retrieve(made.id);
  }
  assert.equal(Number.isNaN(Date.parse(batch.completed_at)), false);
  assert.equal((await lines(azure, batch.output_file_id)).length, 2);
  assert.equal(await (await azure.files.content(batch.error_file_id)).text(), '');
});
