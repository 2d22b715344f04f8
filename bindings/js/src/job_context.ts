// job_context.ts: what jobs are made of, out of a client's options.

import { type ClientContext } from './jobs_entry.js';
import type { JobClientOptions } from './job_types.js';
import { keyVariables } from './layout.js';
import { settle, type Surroundings } from './settle.js';
import type { ClientOptions } from './types.js';

/** Of providers that only jobs know. */
const variables = { ...keyVariables, azure: 'AZURE_OPENAI_API_KEY', groq: 'GROQ_API_KEY', mistral: 'MISTRAL_API_KEY' };

export async function contextOf(given: JobClientOptions, runtime: Surroundings): Promise<ClientContext> {
  const { options, config, settings: { transport, secrets, keepBody, schedule }, seed } = await settle(given as ClientOptions, runtime, variables);
  return { config, seed, transport, secrets, keepBody, schedule, onNotice: options.onNotice };
}
