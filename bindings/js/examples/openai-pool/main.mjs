// The official OpenAI client as it is, under sheaf's scheduler: limits, adaptive concurrency, retries by cause.
//
//   OPENAI_BASE_URL=http://127.0.0.1:8080/v1 node main.mjs
import OpenAI from 'openai';
import { pool } from 'sheaf';

// The pool retries; were the client to do it as well, each failure would be multiplied.
const openai = new OpenAI({ maxRetries: 0, apiKey: process.env.OPENAI_API_KEY ?? 'none' });

// `this.signal` ends a try when the pool does, so this is no arrow function.
const ask = pool(async function (prompt) {
  const answer = await openai.chat.completions.create(
    { model: process.env.MODEL ?? 'gpt-4o-mini', messages: [{ role: 'user', content: prompt }] }, { signal: this.signal });
  return answer.choices[0].message.content;
}, { rpm: 5000, retries: 4 });

const prompts = Array.from({ length: 30 }, (_, i) => `Question ${i + 1}`);
const answers = await Promise.allSettled(prompts.map((prompt) => ask(prompt)));
for (const { value, reason } of answers) console.log(reason ? `failed: ${reason.message}` : value);
const { attempts, throttles } = ask.metrics();
console.error(`${attempts} tries, ${throttles} refused by a rate limit`);
await ask.close();
