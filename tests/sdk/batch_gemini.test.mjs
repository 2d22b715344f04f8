// batch_gemini.test.mjs: npm `@google/genai` against the simulator: files and batch jobs.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as rest } from 'node:timers/promises';
import { GoogleGenAI, JobState } from '@google/genai';
import { collect, patience, startSim } from './support.mjs';

const client = (sim) =>
  new GoogleGenAI({ apiKey: 'k', httpOptions: { baseUrl: sim.url, timeout: patience } });

const model = 'gemini-sim';
const questions = ['how many', 'grains of sand', 'make a heap'];
const contents = (text) => [{ role: 'user', parts: [{ text }] }];
const over = new Set([
  JobState.JOB_STATE_SUCCEEDED,
  JobState.JOB_STATE_FAILED,
  JobState.JOB_STATE_CANCELLED,
  JobState.JOB_STATE_EXPIRED,
]);

async function end(ai, name) {
  for (;;) {
    const job = await ai.batches.get({ name });
    if (over.has(job.state)) return job;
    await rest(20);
  }
}

test('requests in the body are answered in the job, in their order', async (t) => {
  const sim = await startSim(t, '--batch-time', '200');
  const ai = client(sim);
  const made = await ai.batches.create({
    model,
    src: questions.map((text, n) => ({ contents: contents(text), metadata: { key: `row-${n}` } })),
    config: { displayName: 'my batch' },
  });
  assert.equal(made.state, JobState.JOB_STATE_PENDING);
  assert.equal(made.displayName, 'my batch');
  const job = await end(ai, made.name);
  assert.equal(job.state, JobState.JOB_STATE_SUCCEEDED);
  assert.equal(job.dest.inlinedResponses.length, questions.length);
  for (const [n, row] of job.dest.inlinedResponses.entries()) {
    const live = await ai.models.generateContent({ model, contents: contents(questions[n]) });
    assert.equal(row.response.candidates[0].content.parts[0].text, live.text);
    assert.equal(row.response.candidates[0].finishReason, live.candidates[0].finishReason);
    assert.deepEqual(row.response.usageMetadata, live.usageMetadata);
    assert.equal(row.metadata.key, `row-${n}`);
  }
});

test('a file is uploaded, answered and downloaded', async (t) => {
  const sim = await startSim(t, '--batch-time', '0');
  const ai = client(sim);
  const folder = await mkdtemp(join(tmpdir(), 'sheaf-batch-'));
  t.after(() => rm(folder, { recursive: true }));
  const text = questions
    .map(
      (one, n) => JSON.stringify({ key: `row-${n}`, request: { contents: contents(one) } }) + '\n',
    )
    .join('');
  const file = await ai.files.upload({
    file: new Blob([text], { type: 'application/jsonl' }),
    config: { displayName: 'rows', mimeType: 'application/jsonl' },
  });
  assert.equal(file.state, 'ACTIVE');
  assert.equal(file.sizeBytes, String(text.length));
  assert.equal((await ai.files.get({ name: file.name })).displayName, 'rows');
  const made = await ai.batches.create({
    model,
    src: file.name,
    config: { displayName: 'by file' },
  });
  const job = await end(ai, made.name);
  assert.equal(job.state, JobState.JOB_STATE_SUCCEEDED);
  const path = join(folder, 'answers.jsonl');
  await ai.files.download({ file: job.dest.fileName, downloadPath: path });
  const rows = (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(rows.map((row) => row.key).sort(), ['row-0', 'row-1', 'row-2']);
  for (const row of rows) {
    assert.equal(
      row.response.candidates[0].content.parts[0].text,
      `echo: ${questions[row.key.slice(4)]}`,
    );
  }
});

test('an upload of several pieces arrives whole', async (t) => {
  const sim = await startSim(t);
  const ai = client(sim);
  const bytes = new Uint8Array(17 * 1024 * 1024).map((_, n) => n * 31);
  const file = await ai.files.upload({
    file: new Blob([bytes], { type: 'application/jsonl' }),
    config: { mimeType: 'application/jsonl' },
  });
  assert.equal(file.sizeBytes, String(bytes.length));
  const reply = await fetch(`${sim.url}/download/v1beta/${file.name}:download?alt=media`);
  assert.ok(Buffer.from(await reply.arrayBuffer()).equals(Buffer.from(bytes)));
});

test('jobs are cancelled, listed over pages and deleted', async (t) => {
  const sim = await startSim(t, '--batch-time', '500', '--batch-quirk', 'stuck');
  const ai = client(sim);
  const names = [];
  for (let n = 0; n < 5; n++) {
    names.unshift((await ai.batches.create({ model, src: [{ contents: contents(`${n}`) }] })).name);
  }
  await ai.batches.cancel({ name: names[0] });
  assert.equal((await end(ai, names[0])).state, JobState.JOB_STATE_CANCELLED);
  const listed = await collect(await ai.batches.list({ config: { pageSize: 2 } }));
  assert.deepEqual(
    listed.map((job) => job.name),
    names,
  );
  await ai.batches.delete({ name: names[0] });
  assert.equal((await collect(await ai.batches.list())).length, 4);
});

test('embeddings run in jobs of their own', async (t) => {
  const sim = await startSim(t, '--batch-time', '0');
  const ai = client(sim);
  const made = await ai.batches.createEmbeddings({
    model: 'embed-sim',
    src: { inlinedRequests: { contents: [contents('x')[0], contents('y')[0]] } },
  });
  const job = await end(ai, made.name);
  assert.equal(job.state, JobState.JOB_STATE_SUCCEEDED);
  const rows = job.dest.inlinedEmbedContentResponses;
  assert.equal(rows.length, 2);
  for (const row of rows) assert.equal(row.response.embedding.values.length, 16);
});
