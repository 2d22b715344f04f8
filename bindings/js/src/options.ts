// options.ts: the client's options into the core's configuration, requests into its input lines.
//
// Numbers, names and providers are checked by the core, so that an unknown option is an error here as in the command.

import { Flag } from './layout.js';
import { snake } from './names.js';
import type { ClientOptions, Endpoint, Request, RequestOptions, SubmitOptions } from './types.js';

/** What belongs to JavaScript and never reaches the core. */
const ours = new Set([
  'apiKey', 'fetch', 'transport', 'keepBody', 'keepLine', 'dangerouslyAllowBrowser', 'onEvent', 'onNotice', 'onGroup',
  'report', 'preprocess', 'fallback', 'onFull', 'fullWaitMs', 'seed', 'endpoints',
]);

/** Configuration for the core, and the secrets that its header slots stand for. */
export interface Configuration {
  config: Record<string, unknown>;
  secrets: (string | undefined)[];
}

function endpointOf(endpoint: Endpoint, secrets: (string | undefined)[]): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(endpoint))
    if (name !== 'apiKey' && value !== undefined) config[snake(name)] = value;
  if (endpoint.apiKey) config['credential_id'] = secrets.push(endpoint.apiKey);
  return config;
}

/** `keyOf` looks a key up where the options give none: in the environment, where there is one. */
export function configure(options: ClientOptions, keyOf: (provider: string) => string | undefined): Configuration {
  const secrets: (string | undefined)[] = [];
  const config: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options))
    if (!ours.has(name) && value !== undefined) config[snake(name)] = value;
  if (options.endpoints) {
    config['endpoints'] = options.endpoints.map((endpoint) => {
      const apiKey = endpoint.apiKey ?? keyOf(endpoint.provider ?? 'openai');
      return endpointOf(apiKey === undefined ? endpoint : { ...endpoint, apiKey }, secrets);
    });
  } else {
    const key = options.apiKey ?? keyOf(options.provider ?? 'openai');
    if (key) config['credential_id'] = secrets.push(key);
  }
  return { config, secrets };
}

/** Said of a row, and not in its line. */
const besides = new Set(['maxWaitMs', 'dedup']);

/** A request as the core takes it. */
export interface Prepared {
  line: string;
  flags: number;
  maxWaitMs: number;
}

/** `more` takes the place of what the request says itself. */
export function prepare(request: Request, more?: SubmitOptions): Prepared {
  const given: Partial<RequestOptions> = {};
  if (more)
    for (const name of handed) if (more[name] !== undefined) (given as Record<string, unknown>)[name] = more[name];
  const isPlain = typeof request === 'string';
  if (isPlain && Object.keys(given).length === 0) return { line: request, flags: Flag.PROMPT, maxWaitMs: 0 };
  const whole = { ...(isPlain ? { prompt: request } : request), ...given } as RequestOptions;
  const { dedup, maxWaitMs = 0 } = whole;
  return { line: lineOf(whole), flags: dedup === undefined ? 0 : dedup ? Flag.DETERMINISTIC : Flag.ALONE, maxWaitMs };
}

const handed = ['priority', 'deadlineMs', 'maxWaitMs', 'trustKey', 'dedup'] as const;

const priorities: Record<string, number> = { urgent: 100, high: 75, normal: 50, low: 25, deferrable: 10 };
const carriers = ['prompt', 'messages', 'body'];

/** A request as one line of the input format. */
export function lineOf(request: Request): string {
  if (typeof request === 'string') return JSON.stringify(request);
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(request)) {
    if (value === undefined || besides.has(name)) continue;
    if (name === 'priority' && typeof value === 'string') fields['priority'] = priorities[value] ?? value;
    else fields[snake(name)] = value;
  }
  if (carriers.some((name) => name in fields)) return JSON.stringify(fields);
  // Neither prompt nor messages: the provider's own body. What speaks of the row stays beside it, untouched.
  const row: Record<string, unknown> = {}, body: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(request))
    if (rowFields.has(name)) row[snake(name)] = name === 'priority' && typeof value === 'string' ? priorities[value] ?? value : value;
    else if (!besides.has(name)) body[name] = value;
  return JSON.stringify({ ...row, body });
}

const rowFields = new Set(['customId', 'url', 'endpoint', 'priority', 'deadlineMs', 'metadata', 'trustKey']);
