// readme_sheaf.mjs: "sheaf" as the README's examples get it: the package itself, and the simulator where they would call
// a provider. Nothing else is changed.
import * as sheaf from 'sheaf';

export * from 'sheaf';

const paths = { openai: '/v1', anthropic: '', gemini: '/v1beta', ollama: '' };
const url = globalThis.sheafSimulator ?? process.env.SHEAF_SIMULATOR;
const moved = (endpoint) => ({ ...endpoint, baseURL: `${url}${paths[endpoint.provider ?? 'openai']}` });

export const createClient = (options) =>
  sheaf.createClient(options.endpoints ? { ...options, endpoints: options.endpoints.map(moved) } : moved(options));
