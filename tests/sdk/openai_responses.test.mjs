// openai_responses.test.mjs: npm `openai` against the simulator: the responses API.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { assertValid, collect, patience, startSim, toolSchemas, words } from './support.mjs';

const client = (sim) =>
  new OpenAI({
    apiKey: 'sk-test',
    baseURL: `${sim.url}/v1`,
    maxRetries: 0,
    timeout: patience,
  });
const ask = { model: 'gpt-sim', input: words };

// The flat form of this API; chat nests these under "function".
const tools = Object.entries(toolSchemas).map(([name, parameters]) => ({
  type: 'function',
  name,
  description: `Does ${name}.`,
  parameters,
  strict: true,
}));

function assertUsage(usage, billed) {
  assert.ok(usage.input_tokens > 0 && usage.output_tokens > 0);
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  assert.ok(Number.isInteger(usage.input_tokens_details.cached_tokens));
  assert.ok(Number.isInteger(usage.output_tokens_details.reasoning_tokens));
  if (billed) {
    assert.deepEqual([billed.input, billed.output], [usage.input_tokens, usage.output_tokens]);
  }
}

test('a response has text, status and honest usage', async (t) => {
  const sim = await startSim(t);
  const { result: reply, billed } = await sim.during(() => client(sim).responses.create(ask));
  assert.equal(reply.object, 'response');
  assert.equal(reply.status, 'completed');
  assert.equal(reply.error, null);
  assert.equal(reply.incomplete_details, null);
  assert.equal(reply.model, 'gpt-sim');
  assert.equal(reply.output_text, `echo: ${words}`);
  const message = reply.output.find((item) => item.type === 'message');
  assert.equal(message.role, 'assistant');
  assert.equal(message.status, 'completed');
  assert.deepEqual(message.content[0].annotations, []);
  assertUsage(reply.usage, billed);
});

test('input may be a list of items', async (t) => {
  const sim = await startSim(t);
  const reply = await client(sim).responses.create({
    model: 'gpt-sim',
    instructions: 'Answer briefly.',
    input: [
      { role: 'user', content: 'first' },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'so?' }] },
      { role: 'user', content: [{ type: 'input_text', text: 'the last one' }] },
    ],
  });
  assert.equal(reply.output_text, 'echo: the last one');
});

test('a streamed response keeps the order of events and says the same', async (t) => {
  const sim = await startSim(t);
  const { result: events, billed } = await sim.during(async () =>
    collect(await client(sim).responses.create({ ...ask, stream: true })),
  );
  const types = events.map((event) => event.type);
  assert.equal(types[0], 'response.created');
  assert.equal(types.at(-1), 'response.completed');
  const order = [
    'response.created',
    'response.output_item.added',
    'response.content_part.added',
    'response.output_text.delta',
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed',
  ].map((type) => types.indexOf(type));
  assert.ok(order.every((at) => at >= 0), `an event is missing: ${types}`);
  assert.deepEqual(order, [...order].sort((a, b) => a - b), 'events are in order');
  events.forEach((event, i) => assert.equal(event.sequence_number, events[0].sequence_number + i));
  const deltas = events.filter((event) => event.type === 'response.output_text.delta');
  assert.ok(deltas.length > 1, 'the text comes in pieces');
  assert.equal(deltas.map((event) => event.delta).join(''), `echo: ${words}`);
  const done = events.find((event) => event.type === 'response.output_text.done');
  assert.equal(done.text, `echo: ${words}`);
  const { response } = events.at(-1);
  assert.equal(response.status, 'completed');
  assert.equal(response.output[0].content[0].text, `echo: ${words}`);
  assert.equal(events[0].response.status, 'in_progress');
  assert.equal(events[0].response.id, response.id);
  assert.ok(deltas.every((event) => event.item_id === response.output[0].id));
  assertUsage(response.usage, billed);
});

test('the responses stream helper puts the response together', async (t) => {
  const sim = await startSim(t);
  const stream = client(sim).responses.stream(ask);
  let text = '';
  let snapshot = '';
  stream.on('response.output_text.delta', (event) => {
    text += event.delta;
    snapshot = event.snapshot;
  });
  const final = await stream.finalResponse();
  assert.equal(final.output_text, `echo: ${words}`);
  assert.equal(text, final.output_text);
  assert.equal(snapshot, final.output_text);
  assertUsage(final.usage);
});

test('max_output_tokens leaves the response incomplete', async (t) => {
  const sim = await startSim(t, '--answer', 'lorem:300:0.1');
  const body = { ...ask, max_output_tokens: 16 };
  const reply = await client(sim).responses.create(body);
  assert.equal(reply.status, 'incomplete');
  assert.equal(reply.incomplete_details.reason, 'max_output_tokens');
  assert.equal(reply.usage.output_tokens, 16);
  const events = await collect(await client(sim).responses.create({ ...body, stream: true }));
  assert.equal(events.at(-1).type, 'response.incomplete');
  assert.equal(events.at(-1).response.incomplete_details.reason, 'max_output_tokens');
});

const forced = [
  ['the answer kind tool', { headers: { 'x-sheaf-answer': 'tool' } }, 'auto'],
  ['tool_choice required', {}, 'required'],
  ['a named function', {}, { type: 'function', name: 'book_table' }],
];
for (const [what, options, choice] of forced) {
  test(`${what} gets a function call, whole and streamed`, async (t) => {
    const sim = await startSim(t);
    const body = { ...ask, tools, tool_choice: choice };
    const whole = await client(sim).responses.create(body, options);
    const stream = client(sim).responses.stream(body, options);
    const pieces = [];
    stream.on('response.function_call_arguments.delta', (event) => pieces.push(event));
    const streamed = await stream.finalResponse();
    for (const reply of [whole, streamed]) {
      assert.equal(reply.status, 'completed');
      const calls = reply.output.filter((item) => item.type === 'function_call');
      assert.ok(calls.length >= 1, 'there is a call');
      for (const call of calls) {
        assert.ok(call.call_id.length > 0);
        assert.ok(toolSchemas[call.name], call.name);
        if (choice.name) assert.equal(call.name, choice.name);
        assertValid(toolSchemas[call.name], JSON.parse(call.arguments), call.name);
      }
      assertUsage(reply.usage);
    }
    const joined = pieces.map((event) => event.delta).join('');
    const calls = streamed.output.filter((item) => item.type === 'function_call');
    assert.equal(joined, calls.map((call) => call.arguments).join(''));
    assert.equal(pieces.at(-1).snapshot, calls.at(-1).arguments);
  });
}

test('the output of a function is taken back', async (t) => {
  const sim = await startSim(t);
  const first = await client(sim).responses.create({ ...ask, tools, tool_choice: 'required' });
  const calls = first.output.filter((item) => item.type === 'function_call');
  const next = await client(sim).responses.create({
    model: 'gpt-sim',
    input: [
      { role: 'user', content: words },
      ...first.output,
      ...calls.map((call) => ({
        type: 'function_call_output',
        call_id: call.call_id,
        output: '{"ok":true}',
      })),
      { role: 'user', content: 'and now?' },
    ],
    tools,
    tool_choice: 'none',
  });
  assert.equal(next.output_text, 'echo: and now?');
});

test('the zod helper parses a response, whole and streamed', async (t) => {
  const sim = await startSim(t);
  const Event = z.object({
    name: z.string(),
    day: z.enum(['mon', 'tue']),
    people: z.array(z.object({ name: z.string(), age: z.number().int().nullable() })),
  });
  const body = { ...ask, text: { format: zodTextFormat(Event, 'event') } };
  const reply = await client(sim).responses.parse(body);
  assert.ok(Event.safeParse(reply.output_parsed).success);
  const final = await client(sim).responses.stream(body).finalResponse();
  assert.ok(Event.safeParse(final.output_parsed).success);
});
