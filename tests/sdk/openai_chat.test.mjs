// openai_chat.test.mjs: npm `openai` against the simulator: models, chat completions, completions and
// embeddings, streamed and not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import {
  assertValid, collect, patience, rejection, startSim, toolSchemas, words,
} from './support.mjs';

const client = (sim, options = {}) =>
  new OpenAI({
    apiKey: 'sk-test',
    baseURL: `${sim.url}/v1`,
    maxRetries: 0,
    timeout: patience,
    ...options,
  });
const messages = [
  { role: 'developer', content: 'Answer briefly.' },
  { role: 'user', content: words },
];
const ask = { model: 'gpt-sim', messages };

const tools = Object.entries(toolSchemas).map(([name, parameters]) => ({
  type: 'function',
  function: { name, description: `Does ${name}.`, parameters, strict: true },
}));

function assertUsage(usage) {
  assert.ok(usage.prompt_tokens > 0, 'input was counted');
  assert.ok(usage.completion_tokens > 0, 'output was counted');
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
}

function assertBilled(billed, usage) {
  assert.deepEqual(
    [billed.input, billed.output],
    [usage.prompt_tokens, usage.completion_tokens],
    'the ledger bills what the reply says',
  );
}

function assertToolCall(call) {
  assert.equal(call.type, 'function');
  assert.ok(call.id.length > 0, 'a call has an id');
  const schema = toolSchemas[call.function.name];
  assert.ok(schema, `${call.function.name} is one of the tools`);
  assertValid(schema, JSON.parse(call.function.arguments), call.function.name);
}

test('models are listed, and one is told by its name', async (t) => {
  const sim = await startSim(t, '--models', 'gpt-sim,gpt-sim-mini');
  const models = await collect(client(sim).models.list());
  assert.deepEqual(models.map((model) => model.id).sort(), ['gpt-sim', 'gpt-sim-mini']);
  for (const model of models) {
    assert.equal(model.object, 'model');
    assert.equal(typeof model.owned_by, 'string');
    assert.ok(Number.isInteger(model.created));
  }
  const one = await client(sim).models.retrieve('gpt-sim-mini');
  assert.equal(one.id, 'gpt-sim-mini');
  const error = await rejection(client(sim).models.retrieve('gpt-none'));
  assert.ok(error instanceof OpenAI.NotFoundError, String(error));
});

test('a chat completion has text, a reason to finish and honest usage', async (t) => {
  const sim = await startSim(t);
  const { result, received, billed } = await sim.during(() =>
    client(sim).chat.completions.create(ask).withResponse(),
  );
  const { data: reply, request_id: requestId } = result;
  assert.ok(requestId, 'x-request-id is given');
  assert.equal(reply.object, 'chat.completion');
  assert.equal(reply.model, 'gpt-sim');
  assert.ok(Number.isInteger(reply.created) && reply.created > 1e9 && reply.created < 1e11);
  assert.equal(reply.choices.length, 1);
  const [choice] = reply.choices;
  assert.equal(choice.index, 0);
  assert.equal(choice.finish_reason, 'stop');
  assert.equal(choice.message.role, 'assistant');
  assert.equal(choice.message.content, `echo: ${words}`);
  assert.equal(choice.message.refusal, null);
  assert.equal(choice.message.tool_calls, undefined);
  assertUsage(reply.usage);
  assert.equal(received, 1);
  assert.equal(billed.requests, 1);
  assertBilled(billed, reply.usage);
});

test('parts of a message are read as its text', async (t) => {
  const sim = await startSim(t);
  const content = [
    { type: 'text', text: 'first part. ' },
    { type: 'text', text: 'second part.' },
  ];
  const reply = await client(sim).chat.completions.create({
    ...ask,
    messages: [{ role: 'user', content }],
  });
  assert.match(reply.choices[0].message.content, /second part\.$/);
});

test('a streamed completion says the same as the whole one', async (t) => {
  const sim = await startSim(t);
  const whole = await client(sim).chat.completions.create(ask);
  const { result: chunks, billed } = await sim.during(async () =>
    collect(await client(sim).chat.completions.create({
      ...ask,
      stream: true,
      stream_options: { include_usage: true },
    })),
  );
  const told = chunks.filter((chunk) => chunk.choices.length > 0);
  assert.equal(told[0].choices[0].delta.role, 'assistant');
  assert.equal(
    told.map((chunk) => chunk.choices[0].delta.content ?? '').join(''),
    whole.choices[0].message.content,
  );
  assert.ok(told.length > 3, 'the text comes in pieces');
  const reasons = told.map((chunk) => chunk.choices[0].finish_reason);
  assert.equal(reasons.at(-1), 'stop');
  assert.ok(reasons.slice(0, -1).every((reason) => reason === null), 'one end, at the end');
  assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1, 'one id for all chunks');
  assert.ok(chunks.every((chunk) => chunk.object === 'chat.completion.chunk'));
  const last = chunks.at(-1);
  assert.deepEqual(last.choices, [], 'usage comes alone, last');
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
  assert.deepEqual(
    [last.usage.prompt_tokens, last.usage.completion_tokens],
    [whole.usage.prompt_tokens, whole.usage.completion_tokens],
  );
  assertUsage(last.usage);
  assertBilled(billed, last.usage);
});

test('a stream tells no usage unless it is asked to', async (t) => {
  const sim = await startSim(t);
  const chunks = await collect(await client(sim).chat.completions.create({ ...ask, stream: true }));
  assert.ok(chunks.every((chunk) => chunk.usage === undefined || chunk.usage === null));
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
});

test('the chat stream helper puts the completion together', async (t) => {
  const sim = await startSim(t);
  const stream = client(sim).chat.completions.stream({
    ...ask,
    stream_options: { include_usage: true },
  });
  let text = '';
  stream.on('content', (delta) => (text += delta));
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content, `echo: ${words}`);
  assert.equal(final.choices[0].finish_reason, 'stop');
  assert.equal(text, final.choices[0].message.content);
  assert.equal(await stream.finalContent(), text);
  assertUsage(await stream.totalUsage());
});

for (const field of ['max_tokens', 'max_completion_tokens']) {
  test(`${field} cuts the answer`, async (t) => {
    const sim = await startSim(t, '--answer', 'lorem:200:0.1');
    const reply = await client(sim).chat.completions.create({ ...ask, [field]: 7 });
    assert.equal(reply.choices[0].finish_reason, 'length');
    assert.equal(reply.usage.completion_tokens, 7);
    const chunks = await collect(
      await client(sim).chat.completions.create({
        ...ask,
        [field]: 7,
        stream: true,
        stream_options: { include_usage: true },
      }),
    );
    assert.equal(chunks.at(-2).choices[0].finish_reason, 'length');
    assert.equal(chunks.at(-1).usage.completion_tokens, 7);
  });
}

test('an echo, too, is cut at max_tokens', async (t) => {
  const sim = await startSim(t);
  const reply = await client(sim).chat.completions.create({ ...ask, max_completion_tokens: 3 });
  assert.equal(reply.choices[0].finish_reason, 'length');
  assert.ok(reply.usage.completion_tokens <= 3);
  assert.ok(`echo: ${words}`.startsWith(reply.choices[0].message.content));
});

test('n asks for that many choices, and all are counted', async (t) => {
  const sim = await startSim(t, '--answer', 'lorem:20:0.1');
  const { result: reply, billed } = await sim.during(() =>
    client(sim).chat.completions.create({ ...ask, n: 3, max_completion_tokens: 5 }),
  );
  assert.deepEqual(reply.choices.map((choice) => choice.index).sort(), [0, 1, 2]);
  assert.ok(reply.choices.every((choice) => choice.message.content.length > 0));
  assert.equal(reply.usage.completion_tokens, 15);
  assertUsage(reply.usage);
  assertBilled(billed, reply.usage);
});

test('n choices come streamed, each with its own end', async (t) => {
  const sim = await startSim(t);
  const stream = client(sim).chat.completions.stream({
    ...ask,
    n: 2,
    stream_options: { include_usage: true },
  });
  const final = await stream.finalChatCompletion();
  assert.deepEqual(final.choices.map((choice) => choice.index), [0, 1]);
  for (const choice of final.choices) {
    assert.equal(choice.finish_reason, 'stop');
    assert.ok(choice.message.content.length > 0);
  }
  assertUsage(final.usage);
});

test('tools may stay unused', async (t) => {
  const sim = await startSim(t);
  for (const choice of ['auto', 'none']) {
    const reply = await client(sim).chat.completions.create({ ...ask, tools, tool_choice: choice });
    if (reply.choices[0].finish_reason === 'tool_calls') {
      assert.equal(choice, 'auto');
    } else {
      assert.equal(reply.choices[0].message.content, `echo: ${words}`);
    }
  }
});

const forced = [
  ['the answer kind tool', { headers: { 'x-sheaf-answer': 'tool' } }, { tool_choice: 'auto' }],
  ['tool_choice required', {}, { tool_choice: 'required' }],
  [
    'a named function',
    {},
    { tool_choice: { type: 'function', function: { name: 'book_table' } } },
    'book_table',
  ],
];
for (const [what, options, choice, name] of forced) {
  test(`${what} gets a call with arguments that fit`, async (t) => {
    const sim = await startSim(t);
    const body = { ...ask, tools, ...choice };
    const { result: reply, billed } = await sim.during(() =>
      client(sim).chat.completions.create(body, options),
    );
    assert.equal(reply.choices[0].finish_reason, 'tool_calls');
    assert.equal(reply.choices[0].message.content, null);
    assert.ok(reply.choices[0].message.tool_calls.length >= 1);
    for (const call of reply.choices[0].message.tool_calls) {
      assertToolCall(call);
      if (name) assert.equal(call.function.name, name);
    }
    assertUsage(reply.usage);
    assertBilled(billed, reply.usage);
  });

  test(`${what} gets a streamed call with arguments in pieces`, async (t) => {
    const sim = await startSim(t);
    const stream = client(sim).chat.completions.stream({ ...ask, tools, ...choice }, options);
    const chunks = [];
    stream.on('chunk', (chunk) => chunks.push(chunk));
    const final = await stream.finalChatCompletion();
    assert.equal(final.choices[0].finish_reason, 'tool_calls');
    assert.ok(final.choices[0].message.tool_calls.length >= 1);
    for (const call of final.choices[0].message.tool_calls) {
      assertToolCall(call);
      if (name) assert.equal(call.function.name, name);
    }
    const deltas = chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? []);
    assert.ok(deltas.length > 1, 'arguments come in pieces');
    assert.equal(
      deltas.filter((delta) => delta.id).length,
      final.choices[0].message.tool_calls.length,
      'an id comes once a call',
    );
    assert.ok(deltas.every((delta) => Number.isInteger(delta.index)));
  });
}

test('the answer to a tool call is taken back', async (t) => {
  const sim = await startSim(t);
  const reply = await client(sim).chat.completions.create({
    ...ask,
    tools,
    tool_choice: 'required',
  });
  const { message } = reply.choices[0];
  const results = message.tool_calls.map((call) => ({
    role: 'tool',
    tool_call_id: call.id,
    content: '{"ok":true}',
  }));
  const next = await client(sim).chat.completions.create({
    ...ask,
    messages: [...messages, message, ...results, { role: 'user', content: 'and now?' }],
    tools,
    tool_choice: 'none',
  });
  assert.equal(next.choices[0].message.content, 'echo: and now?');
});

test('the runTools helper calls the function with arguments that fit', async (t) => {
  const sim = await startSim(t);
  const given = [];
  const runner = client(sim).chat.completions.runTools(
    {
      ...ask,
      tool_choice: 'auto',
      tools: [
        {
          type: 'function',
          function: {
            name: 'get_weather',
            description: 'Tells the weather.',
            parameters: toolSchemas.get_weather,
            parse: JSON.parse,
            function: (value) => {
              given.push(value);
              return 'sunny';
            },
          },
        },
      ],
    },
    { headers: { 'x-sheaf-answer': 'tool' }, maxChatCompletions: 2 },
  );
  await runner.done();
  assert.ok(given.length >= 1, 'the function was called');
  for (const value of given) assertValid(toolSchemas.get_weather, value);
});

test('the zod helpers parse answers and calls', async (t) => {
  const sim = await startSim(t);
  const Step = z.object({ explanation: z.string(), output: z.string() });
  const Maths = z.object({
    steps: z.array(Step),
    answer: z.number(),
    unit: z.enum(['m', 's']),
    remark: z.string().nullable(),
  });
  const reply = await client(sim).chat.completions.parse({
    ...ask,
    response_format: zodResponseFormat(Maths, 'maths'),
  });
  assert.ok(Maths.safeParse(reply.choices[0].message.parsed).success);
  assert.equal(reply.choices[0].finish_reason, 'stop');

  const streamed = client(sim).chat.completions.stream({
    ...ask,
    response_format: zodResponseFormat(Maths, 'maths'),
  });
  const final = await streamed.finalChatCompletion();
  assert.ok(Maths.safeParse(final.choices[0].message.parsed).success);

  const Query = z.object({ table: z.enum(['orders', 'users']), limit: z.number().int() });
  const called = await client(sim).chat.completions.parse({
    ...ask,
    tools: [zodFunction({ name: 'query', parameters: Query })],
    tool_choice: 'required',
  });
  const [call] = called.choices[0].message.tool_calls;
  assert.equal(call.function.name, 'query');
  assert.ok(Query.safeParse(call.function.parsed_arguments).success);
});

test('json_object asks for any object', async (t) => {
  const sim = await startSim(t);
  const reply = await client(sim).chat.completions.create({
    ...ask,
    messages: [{ role: 'user', content: 'JSON please' }],
    response_format: { type: 'json_object' },
  });
  const value = JSON.parse(reply.choices[0].message.content);
  assert.ok(value !== null && typeof value === 'object' && !Array.isArray(value));
});

test('a completion of a prompt, whole and streamed', async (t) => {
  const sim = await startSim(t);
  const body = { model: 'gpt-sim', prompt: 'once upon a time', max_tokens: 64 };
  const { result: reply, billed } = await sim.during(() => client(sim).completions.create(body));
  assert.equal(reply.object, 'text_completion');
  assert.equal(reply.choices.length, 1);
  assert.equal(reply.choices[0].finish_reason, 'stop');
  assert.match(reply.choices[0].text, /once upon a time/);
  assertUsage(reply.usage);
  assertBilled(billed, reply.usage);
  const chunks = await collect(
    await client(sim).completions.create({
      ...body,
      stream: true,
      stream_options: { include_usage: true },
    }),
  );
  const told = chunks.filter((chunk) => chunk.choices.length > 0);
  assert.equal(told.map((chunk) => chunk.choices[0].text).join(''), reply.choices[0].text);
  assert.equal(told.at(-1).choices[0].finish_reason, 'stop');
  assert.equal(chunks.at(-1).usage.total_tokens, reply.usage.total_tokens);
});

test('completions of several prompts come in their order', async (t) => {
  const sim = await startSim(t);
  const reply = await client(sim).completions.create({
    model: 'gpt-sim',
    prompt: ['alpha', 'beta'],
    max_tokens: 64,
  });
  assert.deepEqual(reply.choices.map((choice) => choice.index), [0, 1]);
  assert.match(reply.choices[0].text, /alpha/);
  assert.match(reply.choices[1].text, /beta/);
});

test('max_tokens cuts a completion', async (t) => {
  const sim = await startSim(t, '--answer', 'lorem:200:0.1');
  const reply = await client(sim).completions.create({
    model: 'gpt-sim',
    prompt: words,
    max_tokens: 4,
  });
  assert.equal(reply.choices[0].finish_reason, 'length');
  assert.equal(reply.usage.completion_tokens, 4);
});

test('embeddings are the same as floats and as base64', async (t) => {
  const sim = await startSim(t, '--dimensions', '24');
  const input = ['the first text', 'the second text', 'ünïcödé 漢字 🌾'];
  const body = { model: 'embed-sim', input };
  // Without encoding_format the client asks for base64 and decodes it.
  const { result: packed, billed } = await sim.during(() => client(sim).embeddings.create(body));
  const plain = await client(sim).embeddings.create({ ...body, encoding_format: 'float' });
  const raw = await client(sim).embeddings.create({ ...body, encoding_format: 'base64' });
  assert.equal(packed.object, 'list');
  assert.equal(packed.model, 'embed-sim');
  assert.deepEqual(packed.data.map((row) => row.index), [0, 1, 2]);
  for (const [i, row] of plain.data.entries()) {
    assert.equal(row.object, 'embedding');
    assert.equal(row.embedding.length, 24);
    assert.equal(packed.data[i].embedding.length, 24);
    const length = Math.hypot(...row.embedding);
    assert.ok(Math.abs(length - 1) < 1e-3, `a vector has length 1, this ${length}`);
    row.embedding.forEach((value, k) =>
      assert.equal(Math.fround(value), Math.fround(packed.data[i].embedding[k])),
    );
    const bytes = Buffer.from(raw.data[i].embedding, 'base64');
    assert.equal(bytes.length, 24 * 4);
    row.embedding.forEach((value, k) =>
      assert.equal(bytes.readFloatLE(k * 4), Math.fround(value)),
    );
  }
  assert.notDeepEqual(plain.data[0].embedding, plain.data[1].embedding);
  assert.ok(packed.usage.prompt_tokens > 0);
  assert.equal(packed.usage.total_tokens, packed.usage.prompt_tokens);
  assert.equal(billed.input, packed.usage.prompt_tokens);
  assert.equal(billed.output, 0);
});

test('embeddings follow dimensions, and take one text or token numbers', async (t) => {
  const sim = await startSim(t);
  for (const input of ['one text', [[1, 2, 3], [4, 5]], [11, 12, 13]]) {
    const reply = await client(sim).embeddings.create({ model: 'embed-sim', input, dimensions: 7 });
    assert.equal(reply.data.length, Array.isArray(input?.[0]) ? 2 : 1);
    for (const row of reply.data) assert.equal(row.embedding.length, 7);
    if (Array.isArray(input)) assert.equal(reply.usage.prompt_tokens, input.flat().length);
  }
});

test('a text embeds the same alone and among others', async (t) => {
  const sim = await startSim(t);
  const alone = await client(sim).embeddings.create({ model: 'embed-sim', input: 'same' });
  const among = await client(sim).embeddings.create({ model: 'embed-sim', input: ['x', 'same'] });
  assert.deepEqual(among.data[1].embedding, alone.data[0].embedding);
});
