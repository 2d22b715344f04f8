// gemini.test.mjs: npm `@google/genai` against the simulator.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, FunctionCallingConfigMode, GoogleGenAI } from '@google/genai';
import {
  assertValid, collect, patience, rejection, startSim, toolSchemas, words,
} from './support.mjs';

const client = (sim, headers = {}, options = {}) =>
  new GoogleGenAI({
    apiKey: 'AIza-test',
    httpOptions: { baseUrl: sim.url, headers, timeout: patience, ...options },
  });
const ask = { model: 'gemini-sim', contents: words };
const declarations = Object.entries(toolSchemas).map(([name, parametersJsonSchema]) => ({
  name,
  description: `Does ${name}.`,
  parametersJsonSchema,
}));

function assertUsage(usage, billed) {
  const out = (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0);
  assert.ok(usage.promptTokenCount > 0 && out > 0);
  assert.equal(usage.totalTokenCount, usage.promptTokenCount + out);
  if (billed) assert.deepEqual([billed.input, billed.output], [usage.promptTokenCount, out]);
}

test('models are listed, and one is told by its name', async (t) => {
  const sim = await startSim(t, '--models', 'gemini-sim,gemini-sim-mini');
  const models = await collect(await client(sim).models.list());
  assert.deepEqual(
    models.map((model) => model.name).sort(),
    ['models/gemini-sim', 'models/gemini-sim-mini'],
  );
  for (const model of models) {
    assert.ok(Number.isInteger(model.inputTokenLimit) && Number.isInteger(model.outputTokenLimit));
    assert.ok(model.supportedActions.includes('generateContent'));
  }
  const one = await client(sim).models.get({ model: 'gemini-sim-mini' });
  assert.equal(one.name, 'models/gemini-sim-mini');
  const error = await rejection(client(sim).models.get({ model: 'gemini-none' }));
  assert.equal(error.status, 404);
});

test('content has text, a reason to finish and honest usage', async (t) => {
  const sim = await startSim(t);
  const { result: reply, received, billed } = await sim.during(() =>
    client(sim).models.generateContent({ ...ask, config: { systemInstruction: 'Be brief.' } }),
  );
  assert.equal(reply.text, `echo: ${words}`);
  assert.equal(reply.candidates.length, 1);
  assert.equal(reply.candidates[0].finishReason, 'STOP');
  assert.equal(reply.candidates[0].content.role, 'model');
  assert.equal(reply.modelVersion, 'gemini-sim');
  assert.equal(typeof reply.responseId, 'string');
  assert.equal(received, 1);
  assert.equal(billed.requests, 1);
  assertUsage(reply.usageMetadata, billed);
});

test('streamed content says the same, its usage is a running total', async (t) => {
  const sim = await startSim(t);
  const whole = await client(sim).models.generateContent(ask);
  const { result: chunks, billed } = await sim.during(async () =>
    collect(await client(sim).models.generateContentStream(ask)),
  );
  assert.ok(chunks.length > 1, 'the text comes in pieces');
  assert.equal(chunks.map((chunk) => chunk.text ?? '').join(''), whole.text);
  assert.equal(chunks.at(-1).candidates[0].finishReason, 'STOP');
  for (const chunk of chunks.slice(0, -1)) {
    assert.equal(chunk.candidates[0].finishReason, undefined);
  }
  assertUsage(chunks.at(-1).usageMetadata, billed);
  assert.equal(
    chunks.at(-1).usageMetadata.totalTokenCount,
    whole.usageMetadata.totalTokenCount,
  );
});

test('countTokens says what content will be billed for, and bills nothing', async (t) => {
  const sim = await startSim(t);
  const { result: count, billed } = await sim.during(() => client(sim).models.countTokens(ask));
  assert.deepEqual(billed, { requests: 0, input: 0, output: 0 });
  const reply = await client(sim).models.generateContent(ask);
  assert.equal(count.totalTokens, reply.usageMetadata.promptTokenCount);
});

test('maxOutputTokens cuts the answer', async (t) => {
  const sim = await startSim(t, '--answer', 'lorem:200:0.1');
  const config = { maxOutputTokens: 8 };
  const reply = await client(sim).models.generateContent({ ...ask, config });
  const chunks = await collect(
    await client(sim).models.generateContentStream({ ...ask, config }),
  );
  for (const last of [reply, chunks.at(-1)]) {
    assert.equal(last.candidates[0].finishReason, 'MAX_TOKENS');
    assert.equal(last.usageMetadata.candidatesTokenCount, 8);
  }
});

test('candidateCount asks for that many', async (t) => {
  const sim = await startSim(t);
  const { result: reply, billed } = await sim.during(() =>
    client(sim).models.generateContent({ ...ask, config: { candidateCount: 3 } }),
  );
  assert.equal(reply.candidates.length, 3);
  assert.deepEqual(reply.candidates.map((candidate) => candidate.index ?? 0).sort(), [0, 1, 2]);
  assertUsage(reply.usageMetadata, billed);
});

test('a chat sends its history', async (t) => {
  const sim = await startSim(t);
  const chat = client(sim).chats.create({ model: 'gemini-sim' });
  const first = await chat.sendMessage({ message: 'hello' });
  const second = await chat.sendMessage({ message: 'and you?' });
  assert.equal(second.text, 'echo: and you?');
  assert.equal(chat.getHistory().length, 4);
  assert.ok(second.usageMetadata.promptTokenCount > first.usageMetadata.promptTokenCount);
});

for (const [what, headers, mode, names] of [
  ['the answer kind tool', { 'x-sheaf-answer': 'tool' }, FunctionCallingConfigMode.AUTO],
  ['mode ANY', {}, FunctionCallingConfigMode.ANY],
  ['an allowed name', {}, FunctionCallingConfigMode.ANY, ['book_table']],
]) {
  test(`${what} gets a function call, whole and streamed`, async (t) => {
    const sim = await startSim(t);
    const config = {
      tools: [{ functionDeclarations: declarations }],
      toolConfig: { functionCallingConfig: { mode, allowedFunctionNames: names } },
    };
    const body = { ...ask, config };
    const whole = await client(sim, headers).models.generateContent(body);
    const chunks = await collect(await client(sim, headers).models.generateContentStream(body));
    assertUsage(whole.usageMetadata);
    assert.equal(whole.candidates[0].finishReason, 'STOP');
    for (const calls of [
      whole.functionCalls ?? [],
      chunks.flatMap((chunk) => chunk.functionCalls ?? []),
    ]) {
      assert.ok(calls.length >= 1, 'there is a call');
      for (const call of calls) {
        if (names) assert.ok(names.includes(call.name));
        assertValid(toolSchemas[call.name], call.args, call.name);
      }
    }
  });
}

test('parameters in the upper-case schema of Gemini are understood', async (t) => {
  const sim = await startSim(t);
  const reply = await client(sim).models.generateContent({
    ...ask,
    config: {
      toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
      tools: [
        {
          functionDeclarations: [
            {
              name: 'dim',
              parameters: {
                type: 'OBJECT',
                properties: {
                  level: { type: 'NUMBER', minimum: 0, maximum: 1 },
                  colour: { type: 'STRING', enum: ['warm', 'cold'] },
                },
                required: ['level', 'colour'],
              },
            },
          ],
        },
      ],
    },
  });
  assert.equal(reply.functionCalls[0].name, 'dim');
  const { level, colour } = reply.functionCalls[0].args;
  assert.ok(level >= 0 && level <= 1, String(level));
  assert.ok(['warm', 'cold'].includes(colour), colour);
});

test('the response of a function is taken back', async (t) => {
  const sim = await startSim(t);
  const config = {
    tools: [{ functionDeclarations: declarations }],
    toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
  };
  const first = await client(sim).models.generateContent({ ...ask, config });
  const [call] = first.functionCalls;
  const next = await client(sim).models.generateContent({
    model: 'gemini-sim',
    contents: [
      { role: 'user', parts: [{ text: words }] },
      first.candidates[0].content,
      { role: 'user', parts: [{ functionResponse: { name: call.name, response: { ok: true } } }] },
      { role: 'user', parts: [{ text: 'and now?' }] },
    ],
  });
  assert.equal(next.text, 'echo: and now?');
});

test('embeddings come for one text and for several', async (t) => {
  const sim = await startSim(t, '--dimensions', '20');
  const one = await client(sim).models.embedContent({ model: 'embed-sim', contents: 'two' });
  assert.equal(one.embeddings.length, 1);
  assert.equal(one.embeddings[0].values.length, 20);
  const several = await client(sim).models.embedContent({
    model: 'embed-sim',
    contents: ['one', 'two', 'three'],
    config: { taskType: 'RETRIEVAL_DOCUMENT' },
  });
  assert.equal(several.embeddings.length, 3);
  assert.notDeepEqual(several.embeddings[0].values, several.embeddings[1].values);
  const plain = await client(sim).models.embedContent({
    model: 'embed-sim',
    contents: ['one', 'two'],
  });
  assert.deepEqual(plain.embeddings[1].values, one.embeddings[0].values, 'a text embeds the same');
  const short = await client(sim).models.embedContent({
    model: 'embed-sim',
    contents: 'two',
    config: { outputDimensionality: 6 },
  });
  assert.equal(short.embeddings[0].values.length, 6);
});

// ---- errors: ApiError holds the status and the body as its message ----

function assertError(error, code, status) {
  assert.ok(error instanceof ApiError, `${error?.constructor?.name}: ${error}`);
  assert.equal(error.status, code);
  const body = JSON.parse(error.message);
  assert.equal(body.error.code, code);
  assert.equal(body.error.status, status);
  assert.ok(body.error.message.length > 3);
  return body.error;
}

test('a wrong key is a 400 that says so', async (t) => {
  const sim = await startSim(t, '--key', 'right');
  const error = await rejection(client(sim).models.generateContent(ask));
  const body = assertError(error, 400, 'INVALID_ARGUMENT');
  assert.match(body.message, /API key not valid/);
  const info = body.details?.find((detail) => detail['@type'].endsWith('ErrorInfo'));
  assert.equal(info?.reason, 'API_KEY_INVALID');
  const good = new GoogleGenAI({ apiKey: 'right', httpOptions: { baseUrl: sim.url } });
  assert.equal((await good.models.generateContent(ask)).text, `echo: ${words}`);
});

test('an unknown model is NOT_FOUND on every call', async (t) => {
  const sim = await startSim(t, '--models', 'gemini-sim');
  const { models } = client(sim);
  for (const call of [
    () => models.generateContent({ ...ask, model: 'gemini-none' }),
    () => models.generateContentStream({ ...ask, model: 'gemini-none' }),
    () => models.countTokens({ ...ask, model: 'gemini-none' }),
    () => models.embedContent({ ...ask, model: 'gemini-none' }),
  ]) {
    const { result: error, billed } = await sim.during(() => rejection(call()));
    const body = assertError(error, 404, 'NOT_FOUND');
    assert.match(body.message, /models\/gemini-none/);
    assert.equal(billed.requests, 0);
  }
});

test('a wrong body is INVALID_ARGUMENT', async (t) => {
  const sim = await startSim(t);
  // What the client would not let through is put into the body beside its checks.
  for (const [extraBody, pattern] of [
    [{ contents: 'hello' }, /contents/],
    [{ contents: [] }, /contents/],
    [{ contents: [{ role: 'user', parts: [{ text: 5 }] }] }, /text/],
    [{ contents: [{ role: 'robot', parts: [{ text: 'x' }] }] }, /role/],
    [{ generationConfig: { maxOutputTokens: 'many' } }, /max_?output_?tokens/i],
    [{ generationConfig: { temperature: 9 } }, /temperature/],
    [{ noSuchField: 1 }, /noSuchField/],
  ]) {
    const error = await rejection(
      client(sim).models.generateContent({
        ...ask,
        config: { httpOptions: { extraBody } },
      }),
      JSON.stringify(extraBody),
    );
    const body = assertError(error, 400, 'INVALID_ARGUMENT');
    assert.match(body.message, pattern);
  }
});

test('a prompt beyond the context is INVALID_ARGUMENT', async (t) => {
  const sim = await startSim(t, '--context', '100');
  const error = await rejection(
    client(sim).models.generateContent({ model: 'gemini-sim', contents: 'word '.repeat(900) }),
  );
  const body = assertError(error, 400, 'INVALID_ARGUMENT');
  assert.match(body.message, /exceeds.*100/);
});

for (const [name, code, status] of [
  ['429', 429, 'RESOURCE_EXHAUSTED'],
  ['quota', 429, 'RESOURCE_EXHAUSTED'],
  ['500', 500, 'INTERNAL'],
  ['529', 503, 'UNAVAILABLE'],
]) {
  test(`fault ${name} is ${status}`, async (t) => {
    const sim = await startSim(t);
    const error = await rejection(
      client(sim, { 'x-sheaf-fault': name }).models.generateContent(ask),
    );
    const body = assertError(error, code, status);
    const hint = body.details?.find((detail) => detail['@type'].endsWith('RetryInfo'));
    const failure = body.details?.find((detail) => detail['@type'].endsWith('QuotaFailure'));
    if (name === '429') assert.match(hint.retryDelay, /^\d+(\.\d+)?s$/);
    if (name === 'quota') {
      assert.equal(hint, undefined, 'no hint when to come back');
      assert.match(failure.violations[0].quotaId, /PerDay/);
    }
  });
}

test('a stall ends with the timeout of the client, a reset at once', async (t) => {
  const sim = await startSim(t);
  const stall = client(sim, { 'x-sheaf-fault': 'stall' }, { timeout: 300 });
  assert.ok((await rejection(stall.models.generateContent(ask))) instanceof Error);
  const reset = client(sim, { 'x-sheaf-fault': 'reset' });
  const error = await rejection(reset.models.generateContent(ask));
  assert.match(String(error), /fetch failed/);
});

test('an error inside a stream is an ApiError with its code', async (t) => {
  const sim = await startSim(t);
  const stream = await client(sim, { 'x-sheaf-fault': 'late-error' })
    .models.generateContentStream(ask);
  const error = await rejection(collect(stream));
  assert.ok(error instanceof ApiError, String(error));
  assert.ok(error.status >= 429, String(error.status));
});

test('a stream without its end has no reason to finish', async (t) => {
  const sim = await startSim(t);
  for (const name of ['truncate', 'cut']) {
    const chunks = [];
    let error;
    try {
      const stream = await client(sim, { 'x-sheaf-fault': name }).models.generateContentStream(ask);
      for await (const chunk of stream) chunks.push(chunk);
    } catch (thrown) {
      error = thrown;
    }
    assert.ok(error || !chunks.some((chunk) => chunk.candidates?.[0]?.finishReason), name);
  }
});

test('odd streams are read as they are', async (t) => {
  const sim = await startSim(t);
  // Not "blank": this client reads no comments.
  for (const name of ['chunks', 'gzip', 'drip']) {
    const chunks = await collect(
      await client(sim, { 'x-sheaf-fault': name }).models.generateContentStream(ask),
    );
    assert.equal(chunks.map((chunk) => chunk.text ?? '').join(''), `echo: ${words}`, name);
  }
});

test('the client does not try again unless it is told to', async (t) => {
  const sim = await startSim(t);
  const once = await sim.during(() =>
    rejection(client(sim, { 'x-sheaf-fault': '429' }).models.generateContent(ask)),
  );
  assert.equal(once.received, 1);
  const retryOptions = { attempts: 3, initialDelay: 0.05 };
  for (const name of ['500', '529', '429']) {
    const patient = client(sim, { 'x-sheaf-fault': name }, { retryOptions });
    const contents = `patient ${name}`;
    const { result: reply, received, billed } = await sim.during(() =>
      patient.models.generateContent({ ...ask, contents }),
    );
    assert.equal(reply.text, `echo: ${contents}`);
    assert.equal(received, 2, name);
    assert.equal(billed.requests, 1, name);
  }
});
