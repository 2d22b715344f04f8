// ollama.test.mjs: npm `ollama` against the simulator.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from 'ollama';
import { assertValid, collect, rejection, startSim, toolSchemas, words } from './support.mjs';

const client = (sim, headers = {}) => new Ollama({ host: sim.url, headers });
const messages = [
  { role: 'system', content: 'Answer briefly.' },
  { role: 'user', content: words },
];
const tools = Object.entries(toolSchemas).map(([name, parameters]) => ({
  type: 'function',
  function: { name, description: `Does ${name}.`, parameters },
}));

function assertMetrics(reply, billed) {
  assert.equal(reply.done, true);
  assert.ok(reply.prompt_eval_count > 0 && reply.eval_count > 0);
  for (const name of ['total_duration', 'load_duration', 'prompt_eval_duration', 'eval_duration']) {
    assert.ok(reply[name] === undefined || Number.isInteger(reply[name]), `${name} in nanoseconds`);
  }
  assert.ok(Number.isInteger(reply.total_duration), 'total_duration is told');
  assert.ok(!Number.isNaN(Date.parse(reply.created_at)), reply.created_at);
  if (billed) {
    assert.deepEqual([billed.input, billed.output], [reply.prompt_eval_count, reply.eval_count]);
  }
}

test('models are listed with their details', async (t) => {
  const sim = await startSim(t, '--models', 'sim,sim-mini');
  const { models } = await client(sim).list();
  // The server adds the tag to a name that has none.
  const names = models.map((model) => model.name.replace(/:latest$/, ''));
  assert.deepEqual(names.sort(), ['sim', 'sim-mini']);
  for (const model of models) {
    assert.equal(model.model, model.name);
    assert.ok(Number.isInteger(model.size));
    assert.match(model.digest, /^[0-9a-f]{64}$/);
    assert.ok(!Number.isNaN(Date.parse(model.modified_at)));
    assert.equal(typeof model.details.family, 'string');
  }
});

test('the version is three numbers', async (t) => {
  const sim = await startSim(t);
  assert.match((await client(sim).version()).version, /^\d+\.\d+\.\d+/);
});

test('chat answers whole and in lines that join to the same', async (t) => {
  const sim = await startSim(t);
  const body = { model: 'sim', messages };
  const { result: whole, billed } = await sim.during(() => client(sim).chat(body));
  assert.equal(whole.model, 'sim');
  assert.equal(whole.message.role, 'assistant');
  assert.equal(whole.message.content, `echo: ${words}`);
  assert.equal(whole.done_reason, 'stop');
  assertMetrics(whole, billed);
  const { result: parts, billed: again } = await sim.during(async () =>
    collect(await client(sim).chat({ ...body, stream: true })),
  );
  assert.equal(parts.map((part) => part.message.content).join(''), whole.message.content);
  assert.ok(parts.length > 2, 'the text comes in pieces');
  assert.ok(parts.slice(0, -1).every((part) => part.done === false));
  assert.equal(parts.at(-1).done_reason, 'stop');
  assertMetrics(parts.at(-1), again);
  assert.equal(parts.at(-1).eval_count, whole.eval_count);
});

test('generate answers whole and in lines that join to the same', async (t) => {
  const sim = await startSim(t);
  const body = { model: 'sim', prompt: words, system: 'Answer briefly.' };
  const { result: whole, billed } = await sim.during(() => client(sim).generate(body));
  assert.equal(whole.response, `echo: ${words}`);
  assert.equal(whole.done_reason, 'stop');
  assertMetrics(whole, billed);
  const parts = await collect(await client(sim).generate({ ...body, stream: true }));
  assert.equal(parts.map((part) => part.response).join(''), whole.response);
  assertMetrics(parts.at(-1));
});

test('num_predict cuts the answer', async (t) => {
  const sim = await startSim(t, '--answer', 'lorem:200:0.1');
  const options = { num_predict: 6 };
  const chat = await client(sim).chat({ model: 'sim', messages, options });
  const made = await client(sim).generate({ model: 'sim', prompt: words, options });
  const parts = await collect(
    await client(sim).chat({ model: 'sim', messages, options, stream: true }),
  );
  for (const reply of [chat, made, parts.at(-1)]) {
    assert.equal(reply.done_reason, 'length');
    assert.equal(reply.eval_count, 6);
  }
});

test('embeddings come for one text and for several', async (t) => {
  const sim = await startSim(t, '--dimensions', '12');
  const several = await client(sim).embed({ model: 'sim', input: ['one', 'two', 'three'] });
  assert.equal(several.model, 'sim');
  assert.equal(several.embeddings.length, 3);
  for (const vector of several.embeddings) {
    assert.equal(vector.length, 12);
    assert.ok(vector.every((value) => Number.isFinite(value)));
  }
  assert.ok(several.prompt_eval_count > 0);
  assert.ok(Number.isInteger(several.total_duration));
  const one = await client(sim).embed({ model: 'sim', input: 'two' });
  assert.deepEqual(one.embeddings, [several.embeddings[1]], 'a text embeds the same');
  const short = await client(sim).embed({ model: 'sim', input: 'two', dimensions: 5 });
  assert.equal(short.embeddings[0].length, 5);
});

test('a tool call has its arguments as an object, whole and streamed', async (t) => {
  const sim = await startSim(t);
  const ollama = client(sim, { 'x-sheaf-answer': 'tool' });
  const whole = await ollama.chat({ model: 'sim', messages, tools });
  const parts = await collect(await ollama.chat({ model: 'sim', messages, tools, stream: true }));
  for (const calls of [
    whole.message.tool_calls ?? [],
    parts.flatMap((part) => part.message.tool_calls ?? []),
  ]) {
    assert.ok(calls.length >= 1, 'there is a call');
    for (const call of calls) {
      assert.equal(typeof call.function.arguments, 'object');
      const schema = toolSchemas[call.function.name];
      assertValid(schema, call.function.arguments, call.function.name);
    }
  }
  const next = await client(sim).chat({
    model: 'sim',
    messages: [
      ...messages,
      whole.message,
      { role: 'tool', content: 'fine', tool_name: whole.message.tool_calls[0].function.name },
      { role: 'user', content: 'and now?' },
    ],
  });
  assert.equal(next.message.content, 'echo: and now?');
});

test('an unknown model is a 404 that names it', async (t) => {
  const sim = await startSim(t, '--models', 'sim');
  const ollama = client(sim);
  for (const call of [
    () => ollama.chat({ model: 'none', messages }),
    () => ollama.generate({ model: 'none', prompt: 'x' }),
    () => ollama.embed({ model: 'none', input: 'x' }),
    () => ollama.chat({ model: 'none', messages, stream: true }),
  ]) {
    const error = await rejection(call());
    assert.equal(error.name, 'ResponseError');
    assert.equal(error.status_code, 404);
    assert.match(error.error, /model '?"?none/);
  }
  assert.equal((await ollama.chat({ model: 'sim:latest', messages })).done, true);
});

test('a wrong body is a 400 with a sentence', async (t) => {
  const sim = await startSim(t);
  const ollama = client(sim);
  for (const call of [
    () => ollama.chat({ messages }),
    () => ollama.chat({ model: 'sim', messages: 'hello' }),
    () => ollama.chat({ model: 'sim', messages: [{ role: 'user', content: 5 }] }),
    () => ollama.generate({ model: 'sim', prompt: 5 }),
    () => ollama.generate({ model: 'sim', prompt: 'x', options: 'fast' }),
    () => ollama.embed({ model: 'sim', input: 5 }),
  ]) {
    const error = await rejection(call(), call.toString());
    assert.equal(error.name, 'ResponseError');
    assert.equal(error.status_code, 400, `${call}: ${error.error}`);
    assert.ok(error.error.length > 3);
  }
});

test('faults have the status and the body of the server', async (t) => {
  const sim = await startSim(t);
  for (const [name, status] of [['500', 500], ['529', 503], ['429', 429]]) {
    const error = await rejection(
      client(sim, { 'x-sheaf-fault': name }).chat({ model: 'sim', messages }),
      name,
    );
    assert.equal(error.name, 'ResponseError');
    // The server itself is never short of requests a minute: it says busy, its cloud 429.
    if (name === '429') assert.ok([429, 503].includes(error.status_code));
    else assert.equal(error.status_code, status);
    assert.ok(error.error.length > 3 && !error.error.startsWith('Error '), error.error);
  }
});

test('an error inside a stream and a stream without its end fail', async (t) => {
  const sim = await startSim(t);
  for (const name of ['late-error', 'truncate', 'cut', 'no-end']) {
    const ollama = client(sim, { 'x-sheaf-fault': name });
    const stream = await ollama.chat({ model: 'sim', messages, stream: true });
    const error = await rejection(collect(stream), name);
    assert.ok(error instanceof Error, name);
    if (name === 'no-end') assert.match(error.message, /Did not receive done/);
  }
});

test('a wrong key is a 401', async (t) => {
  const sim = await startSim(t, '--key', 'right');
  const error = await rejection(client(sim).chat({ model: 'sim', messages }));
  assert.equal(error.status_code, 401);
  const good = client(sim, { Authorization: 'Bearer right' });
  assert.equal((await good.chat({ model: 'sim', messages })).done, true);
});
