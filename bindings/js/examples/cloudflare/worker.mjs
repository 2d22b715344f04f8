// A worker that asks 50 questions at once and answers with what came back. The key is a secret: wrangler secret put API_KEY
import { createClient } from 'sheaf';

const prompts = Array.from({ length: 50 }, (_, i) => `Write a line about the number ${i + 1}.`);

export default {
  async fetch(request, env) {
    // Workers tie connections to the request that opened them: a client for each, which costs less than a tenth of a
    // millisecond. It keeps to the six connections that a worker may have open.
    const client = await createClient({ baseURL: env.BASE_URL, apiKey: env.API_KEY, model: env.MODEL });
    try {
      const results = await client.batch(prompts, { signal: request.signal });
      const { succeeded, failed, wallMs } = results.stats;
      return Response.json({ succeeded, failed, wallMs, lines: results.map(({ text }) => text) });
    } finally {
      await client.close();
    }
  },
};
