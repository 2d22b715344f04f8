// openai_errors.test.mjs: npm `openai` against the simulator: its error classes, its retries, and
// broken streams.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { collect, fault, patience, rejection, startSim, words } from './support.mjs';

const client = (sim, options = {}) =>
  new OpenAI({
    apiKey: 'sk-test',
    baseURL: `${sim.url}/v1`,
    maxRetries: 0,
    timeout: patience,
    ...options,
  });
const ask = { model: 'gpt-sim', messages: [{ role: 'user', content: words }] };
const chat = (sim, body = ask, options = {}) => client(sim).chat.completions.create(body, options);

function assertError(error, type, fields) {
  assert.ok(error instanceof type, `${error?.constructor?.name}: ${error}`);
  for (const [name, value] of Object.entries(fields)) {
    assert.equal(error[name], value, `${name} of ${JSON.stringify(error.error)}`);
  }
  assert.ok(error.message.length > 8, 'the message says something');
}

test('a wrong key is an AuthenticationError', async (t) => {
  const sim = await startSim(t, '--key', 'sk-right');
  const error = await rejection(chat(sim));
  assertError(error, OpenAI.AuthenticationError, {
    status: 401,
    type: 'invalid_request_error',
    code: 'invalid_api_key',
    param: null,
  });
  assert.ok(!error.message.includes('sk-right'), 'the right key is not told');
  const listed = await rejection(collect(client(sim).models.list()));
  assert.ok(listed instanceof OpenAI.AuthenticationError);
  const good = client(sim, { apiKey: 'sk-right' });
  assert.equal((await good.chat.completions.create(ask)).choices.length, 1);
});

test('a wrong key is not tried again', async (t) => {
  const sim = await startSim(t, '--key', 'sk-right');
  const { received } = await sim.during(() =>
    rejection(client(sim, { maxRetries: 2 }).chat.completions.create(ask)),
  );
  assert.equal(received, 1);
});

test('an unknown model is a NotFoundError on every path', async (t) => {
  const sim = await startSim(t, '--models', 'gpt-sim');
  const openai = client(sim);
  const calls = [
    () => openai.chat.completions.create({ ...ask, model: 'gpt-none' }),
    () => openai.responses.create({ model: 'gpt-none', input: words }),
    () => openai.embeddings.create({ model: 'gpt-none', input: words }),
    () => openai.completions.create({ model: 'gpt-none', prompt: words }),
    () => openai.chat.completions.create({ ...ask, model: 'gpt-none', stream: true }),
  ];
  for (const call of calls) {
    const { result: error, billed } = await sim.during(() => rejection(call()));
    assertError(error, OpenAI.NotFoundError, {
      status: 404,
      type: 'invalid_request_error',
      code: 'model_not_found',
    });
    assert.match(error.message, /gpt-none/);
    assert.equal(billed.requests, 0);
  }
  assert.equal((await chat(sim)).choices.length, 1);
});

test('an unknown path is a NotFoundError', async (t) => {
  const sim = await startSim(t);
  const error = await rejection(client(sim).post('/no/such/path', { body: {} }));
  assert.ok(error instanceof OpenAI.NotFoundError, String(error));
  assert.equal(typeof error.error?.message, 'string', 'the body has the shape of the provider');
});

// Bodies that the provider refuses: what is wrong, the body, the field that the error names.
const refused = [
  ['messages are missing', { messages: undefined }, 'messages'],
  ['messages are no list', { messages: 'hello' }, 'messages'],
  ['messages are empty', { messages: [] }, 'messages'],
  ['a role is unknown', { messages: [{ role: 'robot', content: 'x' }] }, 'messages[0].role'],
  ['content is a number', { messages: [{ role: 'user', content: 5 }] }, 'messages[0].content'],
  ['a tool answers no call', { messages: [{ role: 'tool', content: 'x' }] }, /^messages/],
  ['max_tokens is text', { max_tokens: 'ten' }, 'max_tokens'],
  ['max_tokens is negative', { max_tokens: -1 }, 'max_tokens'],
  ['temperature is out of range', { temperature: 3 }, 'temperature'],
  ['temperature is text', { temperature: 'hot' }, 'temperature'],
  ['n is zero', { n: 0 }, 'n'],
  ['stream is a number', { stream: 1 }, 'stream'],
  ['stop has five entries', { stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
  ['a tool has no name', { tools: [{ type: 'function', function: {} }] }, /^tools\[0\]/],
  ['response_format is unknown', { response_format: { type: 'xml' } }, /^response_format/],
];
for (const [what, change, param] of refused) {
  test(`a BadRequestError names the field when ${what}`, async (t) => {
    const sim = await startSim(t);
    const retrying = client(sim, { maxRetries: 2 });
    const { result: error, received, billed } = await sim.during(() =>
      rejection(retrying.chat.completions.create({ ...ask, ...change })),
    );
    assertError(error, OpenAI.BadRequestError, { status: 400, type: 'invalid_request_error' });
    if (param instanceof RegExp) assert.match(error.param, param);
    else assert.equal(error.param, param);
    assert.equal(received, 1, 'not tried again');
    assert.equal(billed.requests, 0);
  });
}

test('a missing model is a BadRequestError', async (t) => {
  const sim = await startSim(t);
  const openai = client(sim);
  for (const call of [
    () => openai.chat.completions.create({ messages: ask.messages }),
    () => openai.embeddings.create({ input: words }),
    () => openai.responses.create({ input: words }),
    () => openai.completions.create({ prompt: words }),
  ]) {
    const error = await rejection(call());
    assertError(error, OpenAI.BadRequestError, { status: 400, type: 'invalid_request_error' });
    assert.match(error.message, /model/);
  }
});

test('embeddings refuse an empty text, a missing input and an unknown format', async (t) => {
  const sim = await startSim(t);
  for (const body of [
    { model: 'embed-sim', input: '' },
    { model: 'embed-sim', input: [] },
    { model: 'embed-sim' },
    { model: 'embed-sim', input: words, dimensions: 'many' },
    { model: 'embed-sim', input: words, encoding_format: 'hex' },
  ]) {
    const error = await rejection(client(sim).embeddings.create(body), JSON.stringify(body));
    assertError(error, OpenAI.BadRequestError, { status: 400, type: 'invalid_request_error' });
  }
});

test('responses refuse a wrong input and a wrong format', async (t) => {
  const sim = await startSim(t);
  for (const [body, param] of [
    [{ model: 'gpt-sim', input: 5 }, /^input/],
    [{ model: 'gpt-sim', input: words, max_output_tokens: 'ten' }, /^max_output_tokens/],
    [{ model: 'gpt-sim', input: words, text: { format: { type: 'xml' } } }, /^text/],
  ]) {
    const error = await rejection(client(sim).responses.create(body), JSON.stringify(body));
    assertError(error, OpenAI.BadRequestError, { status: 400, type: 'invalid_request_error' });
    assert.match(error.param, param);
  }
});

test('an unknown field is refused, and taken with --strict off', async (t) => {
  const strict = await startSim(t);
  const error = await rejection(chat(strict, { ...ask, no_such_field: 1 }));
  assertError(error, OpenAI.BadRequestError, { status: 400, type: 'invalid_request_error' });
  assert.match(error.message, /no_such_field/);
  const lenient = await startSim(t, '--strict', 'off');
  assert.equal((await chat(lenient, { ...ask, no_such_field: 1 })).choices.length, 1);
});

test('a body beyond the context is a BadRequestError with its code', async (t) => {
  const sim = await startSim(t, '--context', '64');
  const long = { ...ask, messages: [{ role: 'user', content: 'word '.repeat(400) }] };
  const { result: error, billed } = await sim.during(() => rejection(chat(sim, long)));
  assertError(error, OpenAI.BadRequestError, {
    status: 400,
    type: 'invalid_request_error',
    code: 'context_length_exceeded',
    param: 'messages',
  });
  assert.match(error.message, /64/);
  assert.equal(billed.requests, 0);
  assert.equal((await chat(sim)).choices.length, 1);
});

test('a 429 is a RateLimitError with a hint', async (t) => {
  const sim = await startSim(t);
  const error = await rejection(chat(sim, ask, fault('429')));
  assertError(error, OpenAI.RateLimitError, { status: 429, code: 'rate_limit_exceeded' });
  assert.ok(['requests', 'tokens'].includes(error.type), error.type);
  assert.equal(Number(error.headers.get('retry-after-ms')), 250);
  assert.ok(Number(error.headers.get('retry-after')) > 0);
  assert.ok(error.requestID, 'errors have a request id, too');
});

test('a 429 that means money says so and gives no hint', async (t) => {
  const sim = await startSim(t);
  const error = await rejection(chat(sim, ask, fault('quota')));
  assertError(error, OpenAI.RateLimitError, { status: 429, type: 'insufficient_quota' });
  assert.equal(error.headers.get('retry-after'), null);
  assert.equal(error.headers.get('retry-after-ms'), null);
});

for (const [name, status] of [['500', 500], ['529', 503], ['503', 503], ['502', 502]]) {
  test(`fault ${name} is an InternalServerError`, async (t) => {
    const sim = await startSim(t);
    const error = await rejection(chat(sim, ask, fault(name)));
    assertError(error, OpenAI.InternalServerError, { status });
  });
}

test('a reset is an APIConnectionError', async (t) => {
  const sim = await startSim(t);
  for (const name of ['reset', 'reset-head']) {
    const error = await rejection(chat(sim, ask, fault(name)));
    assert.ok(error instanceof OpenAI.APIConnectionError, `${name}: ${error}`);
    assert.ok(!(error instanceof OpenAI.APIConnectionTimeoutError));
  }
});

test('a stall ends in an APIConnectionTimeoutError', async (t) => {
  const sim = await startSim(t);
  const error = await rejection(chat(sim, ask, { ...fault('stall'), timeout: 300 }));
  assert.ok(error instanceof OpenAI.APIConnectionTimeoutError, String(error));
});

test('a body that is cut off or no JSON fails', async (t) => {
  const sim = await startSim(t);
  for (const name of ['truncate', 'reset-body', 'garbage', 'length']) {
    const error = await rejection(chat(sim, ask, fault(name)), name);
    assert.ok(error instanceof Error, name);
  }
});

test('compression and odd chunks are read as they are', async (t) => {
  const sim = await startSim(t);
  for (const name of ['gzip', 'chunks', 'blank', 'drip']) {
    const reply = await chat(sim, ask, fault(name));
    assert.equal(reply.choices[0].message.content, `echo: ${words}`, name);
  }
});

test('odd streams are read as they are', async (t) => {
  const sim = await startSim(t);
  for (const name of ['blank', 'chunks', 'gzip', 'drip']) {
    const chunks = await collect(await chat(sim, { ...ask, stream: true }, fault(name)));
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
    assert.equal(text, `echo: ${words}`, name);
  }
});

test('an error inside a stream is an APIError without a status', async (t) => {
  const sim = await startSim(t);
  const stream = await chat(sim, { ...ask, stream: true }, fault('late-error'));
  const error = await rejection(collect(stream));
  assert.ok(error instanceof OpenAI.APIError, String(error));
  assert.equal(error.status, undefined);
  assert.equal(typeof error.error.message, 'string');
});

test('a failure inside a responses stream is told by its event', async (t) => {
  const sim = await startSim(t);
  const stream = await client(sim).responses.create(
    { model: 'gpt-sim', input: words, stream: true },
    fault('late-error'),
  );
  let last;
  let error;
  try {
    for await (const event of stream) last = event;
  } catch (thrown) {
    error = thrown;
  }
  // Both forms exist: an event "error", and response.failed with the error inside.
  if (error) assert.ok(error instanceof OpenAI.APIError, String(error));
  else if (last.type === 'error') assert.equal(typeof last.message, 'string');
  else {
    assert.equal(last.type, 'response.failed');
    assert.equal(last.response.status, 'failed');
    assert.equal(typeof last.response.error.code, 'string');
    assert.equal(typeof last.response.error.message, 'string');
  }
});

test('a stream without its end has no reason to finish, and the helper fails', async (t) => {
  const sim = await startSim(t);
  for (const name of ['truncate', 'cut']) {
    let chunks = [];
    let error;
    const stream = await chat(sim, { ...ask, stream: true }, fault(name));
    try {
      for await (const chunk of stream) chunks.push(chunk);
    } catch (thrown) {
      error = thrown;
    }
    const ended = chunks.some((chunk) => chunk.choices[0]?.finish_reason);
    assert.ok(error || !ended, `${name}: either an error, or no end`);
    assert.ok(chunks.length > 0, `${name}: the stream had begun`);
  }
  const body = { ...ask, messages: [{ role: 'user', content: 'another body' }] };
  const helped = client(sim).chat.completions.stream(body, fault('truncate'));
  const error = await rejection(helped.finalChatCompletion());
  assert.ok(error instanceof OpenAI.OpenAIError, String(error));
});

test('a stream may only lack its terminator', async (t) => {
  const sim = await startSim(t);
  const chunks = await collect(await chat(sim, { ...ask, stream: true }, fault('no-end')));
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
  assert.equal(text, `echo: ${words}`, 'all text was there');
});

test('a responses stream that breaks leaves no completed response', async (t) => {
  const sim = await startSim(t);
  const stream = await client(sim).responses.create(
    { model: 'gpt-sim', input: words, stream: true },
    fault('truncate'),
  );
  const types = [];
  try {
    for await (const event of stream) types.push(event.type);
  } catch (error) {
    assert.ok(error instanceof Error);
  }
  assert.equal(types[0], 'response.created');
  assert.ok(!types.includes('response.completed'));
});

// What is lost on its way back was made nonetheless, and is billed.
const made = ['reset-head', 'garbage-head'];
const passing = ['429', '500', '529', '408', '429-bare', 'reset', 'reset-head', 'garbage-head'];
for (const name of passing) {
  test(`the client gets through fault ${name} by itself`, async (t) => {
    const sim = await startSim(t);
    const usual = new OpenAI({
      apiKey: 'sk-test',
      baseURL: `${sim.url}/v1`,
      timeout: patience,
    });
    assert.equal(usual.maxRetries, 2);
    const { result: reply, received, billed } = await sim.during(() =>
      usual.chat.completions.create(ask, fault(name)),
    );
    assert.equal(reply.choices[0].message.content, `echo: ${words}`);
    assert.equal(received, 2);
    assert.equal(billed.requests, made.includes(name) ? 2 : 1);
    const entries = await sim.ledger();
    assert.equal(entries.length, 2);
    assert.equal(entries[0].fault, name);
    assert.equal(Boolean(entries[0].billed), made.includes(name));
    assert.equal(entries[1].status, 200);
    assert.ok(entries[1].billed);
    assert.equal(entries[0].body_hash, entries[1].body_hash, 'the same body');
    assert.equal(entries[1].output_tokens, reply.usage.completion_tokens);
  });
}

test('a stall is left and tried again', async (t) => {
  const sim = await startSim(t);
  const { result: reply, received } = await sim.during(() =>
    client(sim, { maxRetries: 2, timeout: 2000 }).chat.completions.create(ask, fault('stall')),
  );
  assert.equal(reply.choices[0].finish_reason, 'stop');
  assert.equal(received, 2);
});

test('two faults use up both retries, three are one too many', async (t) => {
  const sim = await startSim(t, '--retry-after', '1');
  const patient = client(sim, { maxRetries: 2 });
  const two = await sim.during(() => patient.chat.completions.create(ask, fault('429:2')));
  assert.equal(two.received, 3);
  const body = { ...ask, messages: [{ role: 'user', content: 'thrice' }] };
  const three = await sim.during(() =>
    rejection(patient.chat.completions.create(body, fault('429:3'))),
  );
  assert.ok(three.result instanceof OpenAI.RateLimitError);
  assert.equal(three.received, 3);
  assert.equal(three.billed.requests, 0);
});

test('the retry does not come before the hint', async (t) => {
  const sim = await startSim(t, '--retry-after', '700');
  await client(sim, { maxRetries: 1 }).chat.completions.create(ask, fault('429'));
  const [first, second] = await sim.ledger();
  // The clocks are one; 5 ms are for rounding.
  assert.ok(second.time_ms - first.time_ms >= 695, `${second.time_ms - first.time_ms} ms`);
});

test('who leaves is noticed, and what was under way ends', async (t) => {
  const sim = await startSim(t, '--latency', 'fixed:20', '--itl', 'fixed:30');
  const stream = await chat(sim, { ...ask, stream: true });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) break;
  }
  const leaving = new AbortController();
  const other = { ...ask, messages: [{ role: 'user', content: 'not waited for' }] };
  const asked = chat(sim, other, { signal: leaving.signal });
  setTimeout(() => leaving.abort(), 50);
  assert.ok((await rejection(asked)) instanceof OpenAI.APIUserAbortError);
  let stats;
  for (let tries = 0; tries < 400; tries++) {
    stats = await sim.stats();
    if (stats.in_flight === 0 && stats.clients_left === 2) break;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  assert.equal(stats.in_flight, 0);
  assert.equal(stats.clients_left, 2);
});

test('three hundred requests through faults are all answered, and billed once each', async (t) => {
  const faults = ['--fault', '429:0.1,500:0.03,529:0.03,reset:0.04', '--retry-after', '5'];
  const sim = await startSim(t, ...faults, '--latency', 'uniform:1:30');
  const stubborn = client(sim, { maxRetries: 12 });
  const numbers = Array.from({ length: 300 }, (_, n) => n);
  const replies = await Promise.all(
    numbers.map((n) =>
      stubborn.chat.completions.create({
        model: 'gpt-sim',
        messages: [{ role: 'user', content: `question ${n}` }],
      }),
    ),
  );
  assert.deepEqual(
    replies.map((reply) => reply.choices[0].message.content),
    numbers.map((n) => `echo: question ${n}`),
  );
  const { billed, again, received } = await sim.stats();
  assert.ok(received > 300, 'some were tried again');
  assert.equal(billed.requests, 300);
  assert.equal(again.billed, 0);
  const sum = (name) => replies.reduce((total, reply) => total + reply.usage[name], 0);
  assert.equal(billed.input_tokens, sum('prompt_tokens'));
  assert.equal(billed.output_tokens, sum('completion_tokens'));
});

test('a limit on requests tells its headers and refuses what is beyond', async (t) => {
  const sim = await startSim(t, '--rpm', '2', '--tpm', '100000');
  const { response } = await client(sim).chat.completions.create(ask).withResponse();
  assert.equal(response.headers.get('x-ratelimit-limit-requests'), '2');
  assert.equal(response.headers.get('x-ratelimit-limit-tokens'), '100000');
  assert.ok(Number(response.headers.get('x-ratelimit-remaining-requests')) <= 1);
  assert.ok(Number(response.headers.get('x-ratelimit-remaining-tokens')) < 100000);
  for (const name of ['x-ratelimit-reset-requests', 'x-ratelimit-reset-tokens']) {
    assert.match(response.headers.get(name), /^(\d+(\.\d+)?(h|ms|m|s))+$/, name);
  }
  const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => chat(sim)));
  const errors = outcomes.filter((outcome) => outcome.status === 'rejected');
  assert.ok(errors.length >= 2, `${errors.length} of 4 were refused`);
  for (const { reason } of errors) {
    assertError(reason, OpenAI.RateLimitError, {
      status: 429,
      code: 'rate_limit_exceeded',
      type: 'requests',
    });
    assert.ok(Number(reason.headers.get('retry-after-ms')) > 0);
  }
});

test('a limit on tokens refuses by its name', async (t) => {
  const sim = await startSim(t, '--tpm', '60');
  const outcomes = await Promise.allSettled([1, 2, 3, 4, 5, 6].map(() => chat(sim)));
  const errors = outcomes.filter((outcome) => outcome.status === 'rejected');
  assert.ok(errors.length > 0);
  for (const { reason } of errors) {
    assertError(reason, OpenAI.RateLimitError, { status: 429, code: 'rate_limit_exceeded' });
    assert.equal(reason.type, 'tokens');
  }
});
