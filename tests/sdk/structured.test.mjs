// structured.test.mjs: answers that must be valid against a JSON Schema, asked for through each
// JavaScript client, and judged by ajv. One simulator serves the file.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { jsonSchemaOutputFormat } from '@anthropic-ai/sdk/helpers/json-schema';
import { GoogleGenAI, Type } from '@google/genai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { corpus, drawnSchema } from './schemas.mjs';
import { assertValid, collect, patience, startSim } from './support.mjs';

const drawn = Number(process.env.SHEAF_SDK_SCHEMAS ?? 200);
const { url } = await startSim();
const openaiAt = (base) =>
  new OpenAI({ apiKey: 'k', baseURL: `${base}/v1`, maxRetries: 0, timeout: patience });
const openai = openaiAt(url);
const anthropic = new Anthropic({ apiKey: 'k', baseURL: url, maxRetries: 0, timeout: patience });
const gemini = new GoogleGenAI({ apiKey: 'k', httpOptions: { baseUrl: url, timeout: patience } });
const ollama = new Ollama({ host: url });

const user = (content) => [{ role: 'user', content }];

async function askOpenAI({ name, strict, schema }, client = openai) {
  const reply = await client.chat.completions.create({
    model: 'gpt-sim',
    messages: user(name),
    response_format: { type: 'json_schema', json_schema: { name: 'answer', strict, schema } },
  });
  assert.equal(reply.choices[0].finish_reason, 'stop');
  return reply.choices[0].message.content;
}

async function askResponses({ name, strict, schema }) {
  const reply = await openai.responses.create({
    model: 'gpt-sim',
    input: name,
    text: { format: { type: 'json_schema', name: 'answer', strict, schema } },
  });
  assert.equal(reply.status, 'completed');
  return reply.output_text;
}

async function askAnthropic({ name, schema }) {
  const reply = await anthropic.messages.create({
    model: 'claude-sim',
    max_tokens: 8000,
    messages: user(name),
    output_config: { format: { type: 'json_schema', schema } },
  });
  assert.equal(reply.stop_reason, 'end_turn');
  return reply.content.map((block) => block.text ?? '').join('');
}

async function askGemini({ name, schema }) {
  const reply = await gemini.models.generateContent({
    model: 'gemini-sim',
    contents: name,
    config: { responseMimeType: 'application/json', responseJsonSchema: schema },
  });
  assert.equal(reply.candidates[0].finishReason, 'STOP');
  return reply.text;
}

async function askOllama({ name, schema }) {
  const reply = await ollama.chat({ model: 'sim', messages: user(name), format: schema });
  assert.equal(reply.done_reason, 'stop');
  return reply.message.content;
}

async function assertAnswer(ask, row) {
  const text = await ask(row);
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    assert.fail(`${row.name}: no JSON (${error.message}): ${text}`);
  }
  assertValid(row.schema, value, row.name);
}

for (const row of corpus) {
  test(`chat answers are valid: ${row.name}`, () => assertAnswer(askOpenAI, row));
}

for (const [client, ask] of [
  ['responses', askResponses],
  ['messages', askAnthropic],
  ['generateContent', askGemini],
  ['ollama chat', askOllama],
]) {
  test(`${client} answers are valid against the same schemas`, async (t) => {
    // Not every provider takes a root that is no object; those rows are for the others.
    for (const row of corpus.filter(({ schema }) => schema.type === 'object')) {
      await t.test(row.name, () => assertAnswer(ask, row));
    }
  });
}

test(`chat answers are valid against ${drawn} drawn schemas`, async () => {
  for (let n = 0; n < drawn; n++) {
    const row = { name: `drawn ${n}`, strict: true, schema: drawnSchema(n) };
    await assertAnswer(askOpenAI, row);
  }
});

test('the same request gets the same answer, another seed another one', async (t) => {
  const row = corpus.find(({ name }) => name === 'a realistic extraction');
  const first = await startSim(t, '--seed', '5');
  const second = await startSim(t, '--seed', '5');
  const third = await startSim(t, '--seed', '6');
  const answers = [];
  for (const sim of [first, second, third]) answers.push(await askOpenAI(row, openaiAt(sim.url)));
  assert.equal(answers[0], answers[1]);
  assert.notEqual(answers[0], answers[2]);
});

test('a streamed answer is valid when it is put together', async () => {
  const { schema } = corpus.find(({ name }) => name === 'a realistic extraction');
  const final = await openai.chat.completions
    .stream({
      model: 'gpt-sim',
      messages: user('stream'),
      response_format: { type: 'json_schema', json_schema: { name: 'a', strict: true, schema } },
    })
    .finalChatCompletion();
  assertValid(schema, JSON.parse(final.choices[0].message.content));

  const chunks = await collect(
    await gemini.models.generateContentStream({
      model: 'gemini-sim',
      contents: 'stream',
      config: { responseMimeType: 'application/json', responseJsonSchema: schema },
    }),
  );
  assertValid(schema, JSON.parse(chunks.map((chunk) => chunk.text ?? '').join('')));

  const parts = await collect(
    await ollama.chat({ model: 'sim', messages: user('stream'), format: schema, stream: true }),
  );
  assertValid(schema, JSON.parse(parts.map((part) => part.message.content).join('')));
});

test("Anthropic's own schema helper is understood", async () => {
  const { schema } = corpus.find(({ name }) => name === 'a realistic extraction');
  const format = jsonSchemaOutputFormat(schema);
  const reply = await anthropic.messages.parse({
    model: 'claude-sim',
    max_tokens: 8000,
    messages: user('helper'),
    output_config: { format },
  });
  // The helper rewrites the schema to what the provider takes; that is what was asked.
  assertValid(format.schema, reply.parsed_output);
});

test("Gemini's own schema type is understood", async () => {
  const reply = await gemini.models.generateContent({
    model: 'gemini-sim',
    contents: 'recipes',
    config: {
      responseMimeType: 'application/json',
      responseSchema: {
        type: Type.ARRAY,
        minItems: '2',
        items: {
          type: Type.OBJECT,
          properties: {
            name: { type: Type.STRING },
            minutes: { type: Type.INTEGER, minimum: 1, maximum: 90 },
            course: { type: Type.STRING, format: 'enum', enum: ['starter', 'main'] },
            remark: { type: Type.STRING, nullable: true },
          },
          required: ['name', 'minutes', 'course'],
          propertyOrdering: ['name', 'minutes', 'course', 'remark'],
        },
      },
    },
  });
  const meaning = {
    type: 'array',
    minItems: 2,
    items: {
      type: 'object',
      properties: {
        name: { type: 'string' },
        minutes: { type: 'integer', minimum: 1, maximum: 90 },
        course: { enum: ['starter', 'main'] },
        remark: { type: ['string', 'null'] },
      },
      required: ['name', 'minutes', 'course'],
    },
  };
  assertValid(meaning, JSON.parse(reply.text));
});

test('an enum answer of Gemini is one of its values', async () => {
  const reply = await gemini.models.generateContent({
    model: 'gemini-sim',
    contents: 'which?',
    config: {
      responseMimeType: 'text/x.enum',
      responseSchema: { type: Type.STRING, enum: ['Percussion', 'String', 'Woodwind'] },
    },
  });
  assert.ok(['Percussion', 'String', 'Woodwind'].includes(reply.text), reply.text);
});

test('format json of Ollama is an object, and generate takes a schema', async () => {
  const chat = await ollama.chat({ model: 'sim', messages: user('x'), format: 'json' });
  assert.equal(typeof JSON.parse(chat.message.content), 'object');
  const { schema } = corpus.find(({ name }) => name === 'array of objects');
  const made = await ollama.generate({ model: 'sim', prompt: 'x', format: schema });
  assertValid(schema, JSON.parse(made.response));
});
