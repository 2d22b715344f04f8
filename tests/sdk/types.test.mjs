// types.test.mjs: the simulator's replies against the types that the clients ship. Each reply is
// written down as a TypeScript literal of the type that the client declares for it, and the
// compiler judges: missing fields, wrong types and, in literals, fields that nobody knows.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { startSim } from './support.mjs';

const requests = JSON.parse(readFileSync(new URL('requests.json', import.meta.url)));
const headers = {
  openai: { authorization: 'Bearer k' },
  // The version whose types the client ships.
  anthropic: { 'x-api-key': 'k', 'anthropic-version': '2026-10-21' },
  ollama: {},
};

// What differs between wire and types: the client adds output_text to a response; the examples in the
// provider's document show usage and user as null, max_tool_calls and store, and completions that
// stream without a reason to finish; types of dates stand where the wire has text; and the last line
// of Ollama alone has the metrics.
const prelude = `
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import type { ChatResponse, EmbedResponse, GenerateResponse } from 'ollama';
type Wire<T> = T extends OpenAI.Responses.Response
  ? Omit<T, 'output_text' | 'usage' | 'user'> & {
      usage?: OpenAI.Responses.ResponseUsage | null;
      user?: string | null;
      max_tool_calls?: number | null;
      store?: boolean;
    }
  : T;
type Choice = Omit<OpenAI.CompletionChoice, 'finish_reason'>;
type CompletionChunk = Omit<OpenAI.Completion, 'choices'> & {
  choices: (Choice & { finish_reason: OpenAI.CompletionChoice['finish_reason'] | null })[];
};
type Event = OpenAI.Responses.ResponseStreamEvent;
type WireEvent = Event extends infer E
  ? E extends { response: OpenAI.Responses.Response }
    ? Omit<E, 'response'> & { response: Wire<OpenAI.Responses.Response> }
    : E
  : never;
type Dated<T> = Omit<T, 'created_at'> & { created_at: string };
type OllamaChat = Dated<ChatResponse>;
type OllamaGenerate = Dated<Omit<GenerateResponse, 'context'>> & { context?: number[] };
type Part<T> = T extends { done: boolean } ?
  | T
  | (Pick<T, Extract<keyof T, 'model' | 'created_at' | 'message' | 'response'>> & { done: false })
  : never;
`;

async function exchange(sim, row, body) {
  const reply = await fetch(sim.url + row.path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers[row.provider] },
    body: JSON.stringify(body),
  });
  const text = await reply.text();
  assert.equal(reply.status, 200, `${row.name}: ${text}`);
  return text;
}

// The values of a stream, of events or of lines. The clients drop pings before they look at types.
function valuesOf(row, text) {
  const lines =
    row.provider === 'ollama'
      ? text.split('\n')
      : [...text.matchAll(/^data: ?(.*)$/gm)].map(([, data]) => data);
  return lines
    .filter((line) => line.trim() !== '' && line !== '[DONE]')
    .map((line) => JSON.parse(line))
    .filter((value) => value.type !== 'ping');
}

/** What the compiler has to say about a file beside this one. */
function compile(name) {
  const config = {
    compilerOptions: {
      noEmit: true,
      strict: true,
      skipLibCheck: true,
      target: 'es2022',
      module: 'nodenext',
      types: [],
    },
    files: [name],
  };
  writeFileSync(new URL('tsconfig.json', import.meta.url), JSON.stringify(config));
  const tsc = createRequire(import.meta.url).resolve('typescript/lib/tsc.js');
  return spawnSync(process.execPath, [tsc, '--pretty', 'false'], {
    cwd: new URL('.', import.meta.url),
    encoding: 'utf8',
  }).stdout;
}

test('replies compile as the types of the clients', async (t) => {
  const sim = await startSim(t);
  const lines = prelude.split('\n');
  const origin = [];
  let serial = 0;
  const declare = (type, value, name) => {
    origin[lines.length + 1] = { name, value };
    lines.push(`export const v${serial++}: ${type} = ${JSON.stringify(value)};`);
  };
  const failures = [];
  for (const row of requests) {
    if (!headers[row.provider]) continue;
    try {
      // Ollama streams unless it is told not to.
      const whole = row.provider === 'ollama' ? { ...row.body, stream: false } : row.body;
      if (row.type) declare(row.type, JSON.parse(await exchange(sim, row, whole)), row.name);
      if (!row.stream_type) continue;
      const body = { ...row.body, stream: true };
      if (row.path === '/v1/chat/completions') body.stream_options = { include_usage: true };
      const text = await exchange(sim, row, body);
      // One chunk of each form is enough for the compiler.
      const forms = new Set();
      for (const value of valuesOf(row, text)) {
        const form = JSON.stringify(value, (_, inner) =>
          ['string', 'number'].includes(typeof inner) ? typeof inner : inner,
        ).concat(value.type ?? '');
        if (forms.has(form)) continue;
        forms.add(form);
        declare(row.stream_type, value, `${row.name}, streamed`);
      }
    } catch (error) {
      failures.push(String(error.message));
    }
  }
  writeFileSync(new URL('replies.ts', import.meta.url), lines.join('\n'));
  const stdout = compile('replies.ts');
  for (const line of stdout.split('\n')) {
    const [, at, , message] = line.match(/^replies\.ts\((\d+),(\d+)\): (.*)/) ?? [];
    if (at) {
      const { name, value } = origin[at] ?? { name: 'prelude' };
      failures.push(`${name}: ${message}\n  ${JSON.stringify(value)?.slice(0, 700)}`);
    } else if (failures.length && line.startsWith('  ')) {
      failures[failures.length - 1] += `\n${line}`;
    } else if (line.trim()) {
      failures.push(line);
    }
  }
  assert.ok(serial > 60, `${serial} replies were judged`);
  assert.equal(failures.length, 0, failures.join('\n'));
});

test('a wrong reply would be found', () => {
  const source = `${prelude}
export const wrong: OpenAI.Model = { id: 'x', object: 'model', created: 'now', owned_by: 'y' };
export const unknown: OpenAI.Model = { id: 'x', object: 'model', created: 1, owned_by: 'y', z: 1 };
export const missing: Anthropic.MessageTokensCount = {};
`;
  writeFileSync(new URL('wrong.ts', import.meta.url), source);
  const stdout = compile('wrong.ts');
  assert.equal(stdout.split('\n').filter((line) => line.startsWith('wrong.ts(')).length, 3, stdout);
});
