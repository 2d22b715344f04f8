// settle.ts: options and what a runtime has, into what engines are made of.

import { type DriverSettings } from './driver.js';
import { SheafError } from './errors.js';
import { keyVariables } from './layout.js';
import { configure } from './options.js';
import { pricesFor } from './prices.js';
import { fetchTransport, type Transport } from './transport.js';
import type { ClientOptions, Endpoint, TransportName } from './types.js';

/** What differs between runtimes, but for their modules. @internal */
export interface Surroundings {
  /** A provider's key from the environment, by the names of its variables. */
  environment(names: string[]): string | undefined;
  transport(name: TransportName | undefined, fetch: typeof globalThis.fetch | undefined): Promise<Transport> | Transport;
  /** True in pages and their workers, where a key would be public. */
  isBrowser: boolean;
  /** Caps that the runtime itself sets. */
  concurrencyMax?: number;
  schedule?: (turn: () => void) => void;
}

const soon: (turn: () => void) => void =
  typeof setImmediate === 'function' ? (turn) => void setImmediate(turn) : (turn) => queueMicrotask(turn);

/** For jitter alone. */
function random64(): bigint {
  const word = (): bigint => BigInt(Math.floor(Math.random() * 2 ** 32));
  return (word() << 32n) | word();
}

/** Of a page: addresses may be relative to it, and keys go to its own origin only. */
function inPage(options: ClientOptions): ClientOptions {
  const { href, origin } = (globalThis as { location?: { href?: string; origin?: string } }).location ?? {};
  const absolute = <Of extends Endpoint>(endpoint: Of): Of =>
    endpoint.baseURL && URL.canParse(endpoint.baseURL, href) ? { ...endpoint, baseURL: new URL(endpoint.baseURL, href).href } : endpoint;
  const placed = absolute(options);
  if (options.endpoints) placed.endpoints = options.endpoints.map(absolute);
  if (!options.dangerouslyAllowBrowser) refusePublicKeys(placed.endpoints ?? [placed], origin);
  return placed;
}

function refusePublicKeys(endpoints: Endpoint[], own: string | undefined): void {
  for (const { apiKey, baseURL } of endpoints) {
    if (!apiKey) continue;
    if (own === undefined || !baseURL || !URL.canParse(baseURL) || new URL(baseURL).origin !== own)
      throw new SheafError(
        'apiKey: a key in a page can be read by everyone who opens it; call a server of your own (a baseURL of this ' +
          'page\'s origin), or set dangerouslyAllowBrowser: true', 'E_AUTH', 'apiKey');
  }
}

/** Providers that only jobs know, and that speak OpenAI's language: where they live. */
const kin: Readonly<Record<string, string | undefined>> = {
  azure: undefined, groq: 'https://api.groq.com/openai/v1', mistral: 'https://api.mistral.ai/v1',
};

/** Variables in which a provider's key is looked for. */
const variables: Readonly<Record<string, string>> = {
  ...keyVariables, azure: 'AZURE_OPENAI_API_KEY', groq: 'GROQ_API_KEY', mistral: 'MISTRAL_API_KEY',
};

/** A configuration for the module that knows only OpenAI's language, and not who speaks it. @internal */
export function asKnown(config: Record<string, unknown>): Record<string, unknown> {
  const { provider, endpoints } = config as { provider?: string; endpoints?: Record<string, unknown>[] };
  if (endpoints) return { ...config, endpoints: endpoints.map(asKnown) };
  if (provider === undefined || !(provider in kin)) return { ...config };
  const base_url = config['base_url'] ?? kin[provider];
  if (!base_url) throw new SheafError('baseURL: give https://RESOURCE.openai.azure.com/openai/v1', 'E_FIELD', 'baseURL');
  const key_header = config['key_header'] ?? (provider === 'azure' ? 'api-key' : undefined);
  return { ...config, provider: 'openai', name: config['name'] ?? provider, base_url, key_header };
}

/** @internal */
export interface Settled {
  options: ClientOptions;
  config: Record<string, unknown>;
  settings: DriverSettings;
  seed(): bigint;
}

/** @internal */
export async function settle(given: ClientOptions, runtime: Surroundings): Promise<Settled> {
  const options = runtime.isBrowser ? inPage(given) : given;
  const { config, secrets } = configure(options, (provider) => runtime.environment(variables[provider]?.split(',') ?? []));
  config['prices'] = pricesFor([options, ...(options.endpoints ?? [])].map(({ provider }) => provider ?? 'openai'), options.prices);
  const cap = runtime.concurrencyMax;
  if (cap !== undefined) {
    config['max_concurrency'] = Math.min(Number(config['max_concurrency'] ?? cap), cap);
    if (typeof config['concurrency'] === 'number') config['concurrency'] = Math.min(config['concurrency'], cap);
  }
  const transport =
    typeof options.transport === 'object'
      ? options.transport
      : options.fetch && !options.transport
        ? fetchTransport(options.fetch)
        : await runtime.transport(options.transport, options.fetch);
  const settings: DriverSettings = {
    transport, secrets, keepBody: options.keepBody ?? false, keepLine: options.keepLine ?? false, onNotice: undefined, onLog: undefined,
    schedule: runtime.schedule ?? soon,
  };
  return { options, config, settings, seed: () => options.seed ?? random64() };
}
