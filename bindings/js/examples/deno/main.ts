// Answers lines from stdin on stdout, in their order.
//
//   printf 'one\ntwo\n' | BASE_URL=http://127.0.0.1:8080/v1 deno run --allow-net --allow-env --allow-read main.ts
import { createClient } from 'sheaf';

const prompts = (await new Response(Deno.stdin.readable).text()).split('\n').filter(Boolean);

const client = await createClient({ baseURL: Deno.env.get('BASE_URL'), model: Deno.env.get('MODEL') ?? 'gpt-4o-mini', concurrency: 8 });
const results = await client.batch(prompts, {
  onProgress: ({ done, total }) => console.error(`${done} of ${total}`),
});
for (const { text, error } of results) console.log(error ? `failed: ${error.message}` : text);
await client.close();
