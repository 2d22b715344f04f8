// serve.test.mjs: npm `openai`, unchanged, through `sheaf serve` in front of the simulator: chat, streams,
// tools, embeddings, completions, responses, models, typed errors, and calls that are shared.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import {
  assertValid, collect, patience, rejection, startServe, startSim, toolSchemas, words,
} from './support.mjs';

const client = (url, options = {}) =>
  new OpenAI({
    apiKey: 'sk-of-the-caller',
    baseURL: `${url}/v1`,
    maxRetries: 0,
    timeout: patience,
    ...options,
  });
const messages = [{ role: 'user', content: words }];
const ask = { model: 'gpt-sim', messages };
const tools = Object.entries(toolSchemas).map(([name, parameters]) => ({
  type: 'function',
  function: { name, description: `Does ${name}.`, parameters, strict: true },
}));

/** A simulator, an endpoint before it, and the client that asks there. */
async function stand(t, simOptions = [], serveOptions = []) {
  const sim = await startSim(t, ...simOptions);
  const url = await startServe(t, sim, ...serveOptions);
  return { sim, url, openai: client(url) };
}

test('a chat completion is what the provider gives', async (t) => {
  const { sim, openai } = await stand(t);
  const { data: reply, request_id: id } = await openai.chat.completions.create(ask).withResponse();
  assert.ok(id, 'x-request-id is given');
  assert.equal(reply.object, 'chat.completion');
  assert.equal(reply.choices[0].message.content, `echo: ${words}`);
  assert.equal(reply.choices[0].finish_reason, 'stop');
  const { billed } = await sim.stats();
  assert.deepEqual(
    [reply.usage.prompt_tokens, reply.usage.completion_tokens],
    [billed.input_tokens, billed.output_tokens],
  );
});

test('a stream comes in chunks, with usage for who asks', async (t) => {
  const { openai } = await stand(t);
  const plain = await collect(await openai.chat.completions.create({ ...ask, stream: true }));
  assert.ok(plain.length > 3, 'the text comes in pieces');
  assert.ok(plain.every((chunk) => chunk.choices.length === 1 && !chunk.usage));
  assert.equal(plain.at(-1).choices[0].finish_reason, 'stop');
  assert.equal(plain.map((chunk) => chunk.choices[0].delta.content ?? '').join(''), `echo: ${words}`);
  const body = { ...ask, stream: true, stream_options: { include_usage: true } };
  const counted = await collect(await openai.chat.completions.create(body));
  assert.deepEqual(counted.at(-1).choices, []);
  assert.ok(counted.at(-1).usage.completion_tokens > 0);
});

test('the stream helper puts the completion together', async (t) => {
  const { openai } = await stand(t);
  const stream = openai.chat.completions.stream({ ...ask, n: 2 });
  const final = await stream.finalChatCompletion();
  assert.deepEqual(final.choices.map((choice) => choice.index), [0, 1]);
  assert.ok(final.choices.every((choice) => choice.message.content.length > 0));
});

test('tools are called, whole and streamed', async (t) => {
  const { openai } = await stand(t, ['--answer', 'tool']);
  const assertCall = (call) =>
    assertValid(toolSchemas[call.function.name], JSON.parse(call.function.arguments));
  const reply = await openai.chat.completions.create({ ...ask, tools });
  assert.equal(reply.choices[0].finish_reason, 'tool_calls');
  assert.ok(reply.choices[0].message.tool_calls.length > 0);
  reply.choices[0].message.tool_calls.forEach(assertCall);
  const stream = openai.chat.completions.stream({ ...ask, tools });
  const deltas = [];
  stream.on('chunk', (chunk) => deltas.push(...(chunk.choices[0]?.delta.tool_calls ?? [])));
  const final = await stream.finalChatCompletion();
  assert.ok(deltas.length > 1, 'arguments come in pieces');
  assert.ok(final.choices[0].message.tool_calls.length > 0);
  final.choices[0].message.tool_calls.forEach(assertCall);
});

test('an answer that fits a schema is parsed', async (t) => {
  const { openai } = await stand(t);
  const reply = await openai.chat.completions.parse({
    ...ask,
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'weather', strict: true, schema: toolSchemas.get_weather },
    },
  });
  assertValid(toolSchemas.get_weather, JSON.parse(reply.choices[0].message.content));
});

test('embeddings are the same numbers as without an endpoint', async (t) => {
  const { sim, openai } = await stand(t, ['--dimensions', '16']);
  const direct = client(sim.url);
  for (const format of [undefined, 'float', 'base64']) {
    const body = { model: 'gpt-sim', input: ['one', 'two', words], encoding_format: format };
    const [through, wanted] = [await openai.embeddings.create(body), await direct.embeddings.create(body)];
    assert.deepEqual(through.data, wanted.data, `encoding_format ${format}`);
    assert.equal(through.data.length, 3);
  }
});

test('a hundred single embeddings at once share calls and keep their numbers', async (t) => {
  const { sim, openai } = await stand(
    t, ['--dimensions', '16', '--latency', 'fixed:80'], ['--concurrency', '2'],
  );
  const inputs = Array.from({ length: 100 }, (_, n) => `text ${n}`);
  const { result: replies, received } = await sim.during(() =>
    Promise.all(inputs.map((input) => openai.embeddings.create({ model: 'gpt-sim', input }))),
  );
  assert.ok(received <= 25, `${received} calls`);
  const wanted = await client(sim.url).embeddings.create({ model: 'gpt-sim', input: inputs });
  assert.deepEqual(
    replies.map((reply) => reply.data[0].embedding),
    wanted.data.map((item) => item.embedding),
  );
  assert.ok(replies.every((reply) => reply.data.length === 1 && reply.data[0].index === 0));
});

test('completions and responses pass, too', async (t) => {
  const { openai } = await stand(t);
  const completion = await openai.completions.create({ model: 'gpt-sim', prompt: words });
  assert.ok(completion.choices[0].text.includes(words));
  const response = await openai.responses.create({ model: 'gpt-sim', input: words });
  assert.equal(response.output_text, `echo: ${words}`);
  const stream = openai.responses.stream({ model: 'gpt-sim', input: words });
  assert.equal((await stream.finalResponse()).output_text, `echo: ${words}`);
});

test('the models are listed, and one is told by its name', async (t) => {
  const { openai } = await stand(t);
  assert.deepEqual((await collect(openai.models.list())).map((model) => model.id), ['gpt-sim']);
  assert.equal((await openai.models.retrieve('gpt-sim')).object, 'model');
  assert.ok((await rejection(openai.models.retrieve('none'))) instanceof OpenAI.NotFoundError);
});

test('refusals have their types, whole and before a stream', async (t) => {
  const { openai } = await stand(t, ['--models', 'gpt-sim']);
  for (const stream of [false, true]) {
    const bad = await rejection(openai.chat.completions.create({ ...ask, temperature: 9, stream }));
    assert.ok(bad instanceof OpenAI.BadRequestError, String(bad));
    assert.equal(bad.param, 'temperature');
    const none = await rejection(openai.chat.completions.create({ ...ask, model: 'none', stream }));
    assert.ok(none instanceof OpenAI.NotFoundError, String(none));
    assert.equal(none.code, 'model_not_found');
  }
  const own = await rejection(openai.chat.completions.create({ model: 'gpt-sim' }));
  assert.ok(own instanceof OpenAI.BadRequestError, String(own));
  assert.equal(own.param, 'messages');
});

test('a limit that does not let go is a RateLimitError that says when to come back', async (t) => {
  const { openai } = await stand(
    t, ['--fault', '429:1', '--retry-after', '1200'], ['--max-throttles', '0'],
  );
  const error = await rejection(openai.chat.completions.create(ask));
  assert.ok(error instanceof OpenAI.RateLimitError, String(error));
  assert.ok(Number(error.headers.get('retry-after')) >= 1);
});

test('tries are made once, by the endpoint: the client does not try again behind it', async (t) => {
  const { sim, url } = await stand(t, ['--fault', '500:1'], ['--max-retries', '1']);
  const stubborn = client(url, { maxRetries: 3 });
  const { result: error, received } = await sim.during(() =>
    rejection(stubborn.chat.completions.create(ask)),
  );
  assert.ok(error instanceof OpenAI.InternalServerError, String(error));
  assert.equal(error.status, 500);
  assert.equal(received, 2);
});

test('two hundred requests through faults are all answered', async (t) => {
  const { sim, openai } = await stand(
    t, ['--fault', '500:0.05,reset:0.03,garbage:0.02', '--latency', 'uniform:1:30'],
    ['--resend-unknown', 'always', '--max-retries', '12'],
  );
  const numbers = Array.from({ length: 200 }, (_, n) => n);
  const replies = await Promise.all(
    numbers.map((n) =>
      openai.chat.completions.create({
        model: 'gpt-sim',
        messages: [{ role: 'user', content: `question ${n}` }],
      }),
    ),
  );
  assert.deepEqual(
    replies.map((reply) => reply.choices[0].message.content),
    numbers.map((n) => `echo: question ${n}`),
  );
  assert.ok((await sim.stats()).received > 200, 'some were tried again');
});

test('a broken stream is an APIError, not an end', async (t) => {
  const { openai } = await stand(t, ['--fault', 'truncate:1', '--itl', 'fixed:20']);
  const stream = await openai.chat.completions.create({ ...ask, stream: true });
  const error = await rejection(collect(stream));
  assert.ok(error instanceof OpenAI.APIError, String(error));
  assert.equal(typeof error.error.message, 'string');
});

test('who leaves takes the call along', async (t) => {
  const { sim, openai } = await stand(t, ['--latency', 'fixed:30000']);
  const leaving = new AbortController();
  const asked = openai.chat.completions.create(ask, { signal: leaving.signal });
  setTimeout(() => leaving.abort(), 200);
  assert.ok((await rejection(asked)) instanceof OpenAI.APIUserAbortError);
  let stats;
  for (let tries = 0; tries < 400; tries++) {
    stats = await sim.stats();
    if (stats.in_flight === 0) break;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  assert.equal(stats.in_flight, 0);
});

test('headers say how urgent a request is', async (t) => {
  const { openai } = await stand(t);
  const reply = await openai.chat.completions.create(ask, {
    headers: { 'x-sheaf-priority': 'urgent', 'x-sheaf-deadline-ms': '30000' },
  });
  assert.equal(reply.choices[0].message.content, `echo: ${words}`);
  const error = await rejection(
    openai.chat.completions.create(ask, { headers: { 'x-sheaf-priority': 'soon' } }),
  );
  assert.ok(error instanceof OpenAI.BadRequestError, String(error));
  assert.equal(error.param, 'x-sheaf-priority');
});
