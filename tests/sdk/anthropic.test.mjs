// anthropic.test.mjs: npm `@anthropic-ai/sdk` against the simulator: messages, streams, tools, token
// counts, models, error classes and retries.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { z } from 'zod';
import {
  assertValid, collect, fault, patience, rejection, startSim, toolSchemas, words,
} from './support.mjs';

const client = (sim, options = {}) =>
  new Anthropic({
    apiKey: 'sk-ant-test',
    baseURL: sim.url,
    maxRetries: 0,
    timeout: patience,
    ...options,
  });
const ask = {
  model: 'claude-sim',
  max_tokens: 512,
  system: 'Answer briefly.',
  messages: [{ role: 'user', content: words }],
};
const create = (sim, change = {}, options = {}) =>
  client(sim).messages.create({ ...ask, ...change }, options);
const textOf = (message) =>
  message.content.map((block) => (block.type === 'text' ? block.text : '')).join('');

const tools = Object.entries(toolSchemas).map(([name, schema]) => ({
  name,
  description: `Does ${name}.`,
  input_schema: schema,
}));

function assertUsage(usage, billed) {
  assert.ok(usage.input_tokens > 0 && usage.output_tokens > 0);
  if (billed) {
    assert.deepEqual([billed.input, billed.output], [usage.input_tokens, usage.output_tokens]);
  }
}

test('models are listed, and one is told by its name', async (t) => {
  const sim = await startSim(t, '--models', 'claude-sim,claude-sim-mini');
  const models = await collect(client(sim).models.list());
  assert.deepEqual(models.map((model) => model.id).sort(), ['claude-sim', 'claude-sim-mini']);
  for (const model of models) {
    assert.equal(model.type, 'model');
    assert.equal(typeof model.display_name, 'string');
    assert.ok(!Number.isNaN(Date.parse(model.created_at)), `RFC 3339: ${model.created_at}`);
  }
  const one = await client(sim).models.retrieve('claude-sim-mini');
  assert.equal(one.id, 'claude-sim-mini');
  const error = await rejection(client(sim).models.retrieve('claude-none'));
  assert.ok(error instanceof Anthropic.NotFoundError, String(error));
});

test('a message has text, a reason to stop and honest usage', async (t) => {
  const sim = await startSim(t);
  const { result, received, billed } = await sim.during(() =>
    client(sim).messages.create(ask).withResponse(),
  );
  const { data: message, request_id: requestId } = result;
  assert.ok(requestId, 'request-id is given');
  assert.equal(message.type, 'message');
  assert.equal(message.role, 'assistant');
  assert.equal(message.model, 'claude-sim');
  assert.ok(message.id.length > 0);
  assert.equal(message.stop_reason, 'end_turn');
  assert.equal(message.stop_sequence, null);
  assert.equal(message.content.length, 1);
  assert.equal(message.content[0].type, 'text');
  assert.equal(textOf(message), `echo: ${words}`);
  assert.equal(received, 1);
  assert.equal(billed.requests, 1);
  assertUsage(message.usage, billed);
});

test('count_tokens says what a message will be billed for, and bills nothing', async (t) => {
  const sim = await startSim(t);
  const { max_tokens: _, ...body } = ask;
  for (const change of [{}, { system: undefined }, { tools }]) {
    const { result: count, billed } = await sim.during(() =>
      client(sim).messages.countTokens({ ...body, ...change }),
    );
    assert.deepEqual(billed, { requests: 0, input: 0, output: 0 });
    const message = await create(sim, change);
    assert.equal(count.input_tokens, message.usage.input_tokens, Object.keys(change).join());
  }
});

test('the raw stream keeps the order of events and says the same', async (t) => {
  const sim = await startSim(t);
  const whole = await create(sim);
  const { result: events, billed } = await sim.during(async () =>
    collect(await create(sim, { stream: true })),
  );
  const types = events.map((event) => event.type);
  assert.deepEqual(
    types.filter((type, i) => type !== types[i - 1]),
    [
      'message_start',
      'content_block_start',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ],
  );
  const deltas = events.filter((event) => event.type === 'content_block_delta');
  assert.ok(deltas.length > 1, 'the text comes in pieces');
  assert.ok(deltas.every((event) => event.delta.type === 'text_delta' && event.index === 0));
  assert.equal(deltas.map((event) => event.delta.text).join(''), textOf(whole));
  const { message } = events[0];
  assert.deepEqual(message.content, []);
  assert.equal(message.stop_reason, null);
  assert.equal(message.usage.input_tokens, whole.usage.input_tokens);
  const end = events.find((event) => event.type === 'message_delta');
  assert.equal(end.delta.stop_reason, 'end_turn');
  assert.equal(end.usage.output_tokens, whole.usage.output_tokens, 'usage is cumulative');
  assert.deepEqual(
    [billed.input, billed.output],
    [whole.usage.input_tokens, whole.usage.output_tokens],
  );
});

test('the stream helper puts the message together', async (t) => {
  const sim = await startSim(t);
  const { result, billed } = await sim.during(async () => {
    const stream = client(sim).messages.stream(ask);
    let text = '';
    stream.on('text', (delta) => (text += delta));
    const final = await stream.finalMessage();
    return { final, text, whole: await stream.finalText(), id: stream.request_id };
  });
  assert.equal(textOf(result.final), `echo: ${words}`);
  assert.equal(result.text, textOf(result.final));
  assert.equal(result.whole, result.text);
  assert.ok(result.id);
  assert.equal(result.final.stop_reason, 'end_turn');
  assertUsage(result.final.usage, billed);
});

test('max_tokens cuts the answer', async (t) => {
  const sim = await startSim(t, '--answer', 'lorem:200:0.1');
  const message = await create(sim, { max_tokens: 9 });
  assert.equal(message.stop_reason, 'max_tokens');
  assert.equal(message.usage.output_tokens, 9);
  const final = await client(sim).messages.stream({ ...ask, max_tokens: 9 }).finalMessage();
  assert.equal(final.stop_reason, 'max_tokens');
  assert.equal(final.usage.output_tokens, 9);
});

test('blocks of content and of the system prompt are read', async (t) => {
  const sim = await startSim(t);
  const message = await create(sim, {
    system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
    messages: [
      { role: 'user', content: 'first' },
      { role: 'assistant', content: [{ type: 'text', text: 'so?' }] },
      { role: 'user', content: [{ type: 'text', text: 'the last one' }] },
    ],
  });
  assert.equal(textOf(message), 'echo: the last one');
});

const forced = [
  ['the answer kind tool', { headers: { 'x-sheaf-answer': 'tool' } }, { type: 'auto' }],
  ['tool_choice any', {}, { type: 'any' }],
  ['a named tool', {}, { type: 'tool', name: 'book_table' }],
];
for (const [what, options, choice] of forced) {
  test(`${what} gets a tool call, whole and streamed`, async (t) => {
    const sim = await startSim(t);
    const body = { ...ask, max_tokens: 4096, tools, tool_choice: choice };
    const { result: whole, billed } = await sim.during(() =>
      client(sim).messages.create(body, options),
    );
    assertUsage(whole.usage, billed);
    const stream = client(sim).messages.stream(body, options);
    const pieces = [];
    stream.on('inputJson', (piece) => pieces.push(piece));
    const streamed = await stream.finalMessage();
    for (const message of [whole, streamed]) {
      assert.equal(message.stop_reason, 'tool_use');
      const calls = message.content.filter((block) => block.type === 'tool_use');
      assert.ok(calls.length >= 1);
      for (const call of calls) {
        assert.ok(call.id.length > 0);
        if (choice.name) assert.equal(call.name, choice.name);
        assertValid(toolSchemas[call.name], call.input, call.name);
      }
    }
    assert.ok(pieces.filter((piece) => piece.length > 0).length > 1, 'input comes in pieces');
  });
}

test('the result of a tool is taken back', async (t) => {
  const sim = await startSim(t);
  const first = await create(sim, { tools, tool_choice: { type: 'any' }, max_tokens: 4096 });
  const results = first.content
    .filter((block) => block.type === 'tool_use')
    .map((block) => ({ type: 'tool_result', tool_use_id: block.id, content: 'fine' }));
  const next = await create(sim, {
    tools,
    tool_choice: { type: 'none' },
    messages: [
      ...ask.messages,
      { role: 'assistant', content: first.content },
      { role: 'user', content: [...results, { type: 'text', text: 'and now?' }] },
    ],
  });
  assert.match(textOf(next), /and now\?$/);
});

test('the zod helper parses an answer, whole and streamed', async (t) => {
  const sim = await startSim(t);
  const Contact = z.object({
    name: z.string(),
    plan: z.enum(['free', 'paid']),
    tags: z.array(z.string()),
    demo: z.boolean(),
    since: z.object({ year: z.number(), month: z.number() }),
  });
  const body = { ...ask, output_config: { format: zodOutputFormat(Contact) } };
  const message = await client(sim).messages.parse(body);
  assert.ok(Contact.safeParse(message.parsed_output).success);
  const final = await client(sim).messages.stream(body).finalMessage();
  assert.ok(Contact.safeParse(final.parsed_output).success);
});

// ---- errors ----

function assertError(error, type, status, name) {
  assert.ok(error instanceof type, `${error?.constructor?.name}: ${error}`);
  assert.equal(error.status, status);
  assert.equal(error.type, name);
  assert.equal(error.error.type, 'error', 'the body is {"type":"error","error":{...}}');
  assert.ok(error.apiMessage.length > 3, 'the message says something');
}

test('a wrong key is an AuthenticationError, and not tried again', async (t) => {
  const sim = await startSim(t, '--key', 'sk-right');
  const { result: error, received } = await sim.during(() =>
    rejection(client(sim, { maxRetries: 2 }).messages.create(ask)),
  );
  assertError(error, Anthropic.AuthenticationError, 401, 'authentication_error');
  assert.equal(received, 1);
  const good = client(sim, { apiKey: 'sk-right' });
  assert.equal((await good.messages.create(ask)).type, 'message');
  const bearer = client(sim, { apiKey: null, authToken: 'sk-right' });
  assert.equal((await bearer.messages.create(ask)).type, 'message');
});

test('an unknown model is a NotFoundError', async (t) => {
  const sim = await startSim(t, '--models', 'claude-sim');
  const { result: error, billed } = await sim.during(() =>
    rejection(create(sim, { model: 'claude-none' })),
  );
  assertError(error, Anthropic.NotFoundError, 404, 'not_found_error');
  assert.match(error.apiMessage, /claude-none/);
  assert.equal(billed.requests, 0);
  const { max_tokens: _, ...body } = ask;
  const counted = await rejection(
    client(sim).messages.countTokens({ ...body, model: 'claude-none' }),
  );
  assert.ok(counted instanceof Anthropic.NotFoundError);
});

const refused = [
  ['messages are missing', { messages: undefined }, /messages/],
  ['messages are empty', { messages: [] }, /messages/],
  ['a role is unknown', { messages: [{ role: 'robot', content: 'x' }] }, /messages\.0/],
  ['content has the wrong type', { messages: [{ role: 'user', content: 5 }] }, /messages\.0/],
  ['max_tokens is missing', { max_tokens: undefined }, /max_tokens/],
  ['max_tokens is text', { max_tokens: 'ten' }, /max_tokens/],
  ['max_tokens is negative', { max_tokens: -3 }, /max_tokens/],
  ['system is a number', { system: 7 }, /system/],
  ['a tool has no name', { tools: [{ input_schema: { type: 'object' } }] }, /tools\.0/],
  ['a tool has no schema', { tools: [{ name: 'a' }] }, /tools\.0/],
  ['the named tool is not there', { tools, tool_choice: { type: 'tool', name: 'x' } }, /tool/],
  ['a field is unknown', { no_such_field: 1 }, /no_such_field/],
  ['the new version meets temperature', { temperature: 0.5 }, /temperature/],
];
for (const [what, change, pattern] of refused) {
  test(`a BadRequestError names the field when ${what}`, async (t) => {
    const sim = await startSim(t);
    const { result: error, received, billed } = await sim.during(() =>
      rejection(client(sim, { maxRetries: 2 }).messages.create({ ...ask, ...change })),
    );
    assertError(error, Anthropic.BadRequestError, 400, 'invalid_request_error');
    assert.match(error.apiMessage, pattern);
    assert.equal(received, 1, 'not tried again');
    assert.equal(billed.requests, 0);
  });
}

test('the older version of the API takes temperature', async (t) => {
  const sim = await startSim(t);
  const options = { headers: { 'anthropic-version': '2023-06-01' } };
  const message = await create(sim, { temperature: 0.5, top_p: 0.9, top_k: 40 }, options);
  assert.equal(message.stop_reason, 'end_turn');
});

test('a missing model is a BadRequestError', async (t) => {
  const sim = await startSim(t);
  const error = await rejection(create(sim, { model: undefined }));
  assertError(error, Anthropic.BadRequestError, 400, 'invalid_request_error');
  assert.match(error.apiMessage, /model/);
});

test('a prompt beyond the context is a BadRequestError', async (t) => {
  const sim = await startSim(t, '--context', '600');
  const long = { messages: [{ role: 'user', content: 'word '.repeat(2000) }] };
  const error = await rejection(create(sim, long));
  assertError(error, Anthropic.BadRequestError, 400, 'invalid_request_error');
  assert.match(error.apiMessage, /too long|context/);
});

for (const [name, status, type, kind] of [
  ['429', 429, 'rate_limit_error', Anthropic.RateLimitError],
  ['500', 500, 'api_error', Anthropic.InternalServerError],
  ['529', 529, 'overloaded_error', Anthropic.InternalServerError],
]) {
  test(`fault ${name} is its error class with the type ${type}`, async (t) => {
    const sim = await startSim(t);
    const error = await rejection(create(sim, {}, fault(name)));
    assertError(error, kind, status, type);
    assert.ok(error.requestID, 'errors have a request id, too');
    if (name === '429') assert.match(error.headers.get('retry-after'), /^\d+$/, 'whole seconds');
  });
}

test('quota is told by its error code, without a hint', async (t) => {
  const sim = await startSim(t);
  const error = await rejection(create(sim, {}, fault('quota')));
  assert.ok(error instanceof Anthropic.APIError);
  // A 429 with details.error_code, or the 400 that speaks of usage limits: both are documented.
  if (error.status === 429) {
    assert.ok(
      ['enforced_spend_limit_reached', 'contract_spend_limit_reached'].includes(error.errorCode),
      String(error.errorCode),
    );
  } else {
    assert.equal(error.status, 400);
    assert.match(error.apiMessage, /usage limits|credit balance/);
  }
  assert.equal(error.headers.get('retry-after'), null);
});

test('502, resets and stalls are their classes', async (t) => {
  const sim = await startSim(t);
  const page = await rejection(create(sim, {}, fault('502')));
  assert.ok(page instanceof Anthropic.InternalServerError, String(page));
  assert.equal(page.status, 502);
  const reset = await rejection(create(sim, {}, fault('reset')));
  assert.ok(reset instanceof Anthropic.APIConnectionError, String(reset));
  assert.ok(!(reset instanceof Anthropic.APIConnectionTimeoutError), 'at once');
  const stall = await rejection(create(sim, {}, { ...fault('stall'), timeout: 300 }));
  assert.ok(stall instanceof Anthropic.APIConnectionTimeoutError, String(stall));
});

test('an error inside a stream is an APIError with its type', async (t) => {
  const sim = await startSim(t);
  const error = await rejection(
    client(sim).messages.stream(ask, fault('late-error')).finalMessage(),
  );
  assert.ok(error instanceof Anthropic.APIError, String(error));
  assert.equal(error.status, undefined);
  assert.ok(['overloaded_error', 'api_error'].includes(error.type), String(error.type));
});

test('a stream without its end makes no message', async (t) => {
  const sim = await startSim(t);
  for (const name of ['truncate', 'cut', 'no-end']) {
    const stream = client(sim).messages.stream(ask, fault(name));
    let stops = 0;
    stream.on('streamEvent', (event) => (stops += event.type === 'message_stop'));
    const error = await rejection(stream.finalMessage(), name);
    assert.ok(error instanceof Anthropic.AnthropicError, `${name}: ${error}`);
    assert.equal(stops, 0);
  }
});

test('odd streams are read as they are', async (t) => {
  const sim = await startSim(t);
  for (const name of ['blank', 'chunks', 'gzip', 'drip']) {
    const final = await client(sim).messages.stream(ask, fault(name)).finalMessage();
    assert.equal(textOf(final), `echo: ${words}`, name);
  }
});

for (const name of ['429', '500', '529', '429-bare', 'reset']) {
  test(`the client gets through fault ${name} by itself`, async (t) => {
    const sim = await startSim(t);
    const usual = new Anthropic({
      apiKey: 'sk-ant-test',
      baseURL: sim.url,
      timeout: patience,
    });
    assert.equal(usual.maxRetries, 2);
    const { result: message, received, billed } = await sim.during(() =>
      usual.messages.create(ask, fault(name)),
    );
    assert.equal(textOf(message), `echo: ${words}`);
    assert.equal(received, 2);
    assert.equal(billed.requests, 1);
    const entries = await sim.ledger();
    assert.deepEqual(entries.map((entry) => Boolean(entry.billed)), [false, true]);
    assert.equal(entries[0].fault, name);
    assert.equal(entries[0].body_hash, entries[1].body_hash);
  });
}

test('the retry does not come before the hint', async (t) => {
  const sim = await startSim(t, '--retry-after', '1000');
  await client(sim, { maxRetries: 1 }).messages.create(ask, fault('429'));
  const [first, second] = await sim.ledger();
  assert.ok(second.time_ms - first.time_ms >= 995, `${second.time_ms - first.time_ms} ms`);
});

test('limits tell their headers and refuse what is beyond', async (t) => {
  const sim = await startSim(t, '--rpm', '2', '--itpm', '50000', '--otpm', '8000');
  const { response } = await client(sim).messages.create(ask).withResponse();
  const header = (name) => response.headers.get(`anthropic-ratelimit-${name}`);
  assert.equal(header('requests-limit'), '2');
  assert.equal(header('input-tokens-limit'), '50000');
  assert.equal(header('output-tokens-limit'), '8000');
  for (const kind of ['requests', 'input-tokens', 'output-tokens']) {
    assert.match(header(`${kind}-remaining`), /^\d+$/, kind);
    assert.match(header(`${kind}-reset`), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, kind);
  }
  const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => create(sim)));
  const errors = outcomes.filter((outcome) => outcome.status === 'rejected');
  assert.ok(errors.length >= 2, `${errors.length} of 4 were refused`);
  for (const { reason } of errors) {
    assertError(reason, Anthropic.RateLimitError, 429, 'rate_limit_error');
    assert.match(reason.headers.get('retry-after'), /^\d+$/);
  }
});
