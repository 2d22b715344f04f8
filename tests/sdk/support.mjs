// support.mjs: what the tests of the JavaScript clients share: a simulator of their own each, its
// ledger, and JSON Schema checks by ajv.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormatsModule from 'ajv-formats';

const binary = process.env.SHEAF_BIN;
if (!binary) throw new Error('SHEAF_BIN must name the sheaf binary');

// Whatever ends this process ends its simulators, the runner's limit on time included.
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit(1));

/** A server of ours on a free port, ended by a signal when t or the test file ends; its address. */
async function start(t, command, options, env = {}) {
  const child = spawn(binary, [command, '--port', '0', ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  let errors = '';
  child.stderr.on('data', (piece) => (errors += piece));
  const gone = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([
    once(lines, 'line').then(([line]) => line),
    gone.then(() => {
      throw new Error(`sheaf ${command} ${options.join(' ')} ended: ${errors}`);
    }),
  ]);
  const url = first.match(/http:\/\/\S+/)?.[0];
  assert.ok(url, `the first line is the address: ${first}`);
  // It has to end well when it is asked to, which is also when a build with sanitizers speaks.
  const stop = async () => {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 20000);
    await gone;
    clearTimeout(late);
    const end = child.exitCode ?? child.signalCode;
    assert.equal(end, 0, `sheaf ${command} ended with ${end}: ${errors.slice(-4000)}`);
  };
  if (t) t.after(stop);
  else after(stop);
  return url;
}

/** A `sheaf sim`. */
export async function startSim(t, ...options) {
  return new Sim(await start(t, 'sim', options));
}

/** The address of a `sheaf serve` in front of a simulator. */
export async function startServe(t, sim, ...options) {
  const to = ['--base-url', `${sim.url}/v1`, '--model', 'gpt-sim', '--retry-base-ms', '5'];
  return await start(t, 'serve', [...to, ...options], { OPENAI_API_KEY: 'sk-of-serve' });
}

class Sim {
  constructor(url) {
    this.url = url;
  }

  async stats() {
    return await (await fetch(`${this.url}/_sim/stats`)).json();
  }

  /** The exchanges with the provider so far, oldest first. */
  async ledger(after = 0) {
    const reply = await fetch(`${this.url}/_sim/ledger?after=${after}&limit=1000`);
    assert.equal(reply.status, 200, 'GET /_sim/ledger');
    const { entries } = await reply.json();
    return entries.filter((entry) => !entry.path.startsWith('/_sim')).sort((a, b) => a.seq - b.seq);
  }

  /** What was received and billed while work ran, beside its result. */
  async during(work) {
    const before = await this.stats();
    const result = await work();
    const now = await this.stats();
    const field = (name) => now.billed[name] - before.billed[name];
    return {
      result,
      received: now.received - before.received,
      billed: {
        requests: field('requests'),
        input: field('input_tokens'),
        output: field('output_tokens'),
      },
    };
  }
}

const ajv = new Ajv2020({ strict: false, allErrors: true });
(addFormatsModule.default ?? addFormatsModule)(ajv);

/** Fails unless value is valid against schema (JSON Schema 2020-12, formats included). */
export function assertValid(schema, value, what = '') {
  const validate = ajv.compile(schema);
  if (validate(value)) return;
  const errors = ajv.errorsText(validate.errors);
  const [given, wanted] = [JSON.stringify(value), JSON.stringify(schema)];
  assert.fail(`${what} ${errors}\n value ${given}\n schema ${wanted}`);
}

/** The error that promise rejects with; fails when it does not. */
export async function rejection(promise, what = 'the call') {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  return assert.fail(`${what} should have failed, gave ${JSON.stringify(value)?.slice(0, 500)}`);
}

/** All that an async iterable yields. */
export async function collect(stream) {
  const all = [];
  for await (const item of stream) all.push(item);
  return all;
}

/** What a client waits at most, in ms: long for this machine, short for one who waits in vain. */
export const patience = 20000;

export const fault = (name) => ({ headers: { 'x-sheaf-fault': name } });

/** Two tools whose parameters use what schemas use: enums, bounds, arrays, nested objects. */
export const toolSchemas = {
  get_weather: {
    type: 'object',
    properties: {
      city: { type: 'string', minLength: 1 },
      unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
      days: { type: 'integer', minimum: 1, maximum: 7 },
    },
    required: ['city', 'unit', 'days'],
    additionalProperties: false,
  },
  book_table: {
    type: 'object',
    properties: {
      guests: {
        type: 'array',
        minItems: 1,
        items: {
          type: 'object',
          properties: { name: { type: 'string' }, vegan: { type: 'boolean' } },
          required: ['name', 'vegan'],
          additionalProperties: false,
        },
      },
      at: { type: 'string', format: 'date-time' },
    },
    required: ['guests', 'at'],
    additionalProperties: false,
  },
};

export const words = 'how many grains of sand make a heap, and who counts them';
