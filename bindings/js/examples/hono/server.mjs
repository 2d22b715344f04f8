// A server that answers many prompts in one call. All calls share one client, and so one set of limits.
//
//   BASE_URL=http://127.0.0.1:8080/v1 PORT=3000 node server.mjs
//   curl -d '{"prompts":["one","two"]}' -H 'content-type: application/json' localhost:3000/answers
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { SheafBatchError, createClient } from 'sheaf';

const client = await createClient({ baseURL: process.env.BASE_URL, model: process.env.MODEL ?? 'gpt-4o-mini', rpm: 5000, deadlineMs: 30_000 });
const app = new Hono();

app.post('/answers', async (c) => {
  const { prompts } = await c.req.json();
  if (!Array.isArray(prompts) || prompts.length > 500) return c.json({ error: 'prompts: a list of at most 500' }, 400);
  // A caller that hangs up cancels what it asked for, and nothing else.
  const signal = c.req.raw.signal;
  try {
    const results = await client.batch(prompts.map(String), { signal });
    return c.json(results.map(({ text, error }) => (error ? { error: error.class } : { text })));
  } catch (error) {
    if (error instanceof SheafBatchError) return c.json({ error: error.message }, 502);
    throw error;
  }
});
app.get('/metrics', (c) => c.text(client.metrics('openmetrics')));

const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000), hostname: '127.0.0.1' }, ({ port }) =>
  console.log(`http://127.0.0.1:${port}`));

// What is in flight ends, nothing new starts.
process.once('SIGTERM', () => server.close(() => client.close()));
