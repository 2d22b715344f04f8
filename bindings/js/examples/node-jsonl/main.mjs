// Runs a JSONL file, a request a line, and writes a result a line as they complete, in bounded memory.
//
//   BASE_URL=http://127.0.0.1:8080/v1 node main.mjs requests.jsonl results.jsonl
import { createReadStream, createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { createClient } from 'sheaf';

const [input, output] = process.argv.slice(2);

async function* requests(path) {
  for await (const line of createInterface({ input: createReadStream(path) })) if (line.trim()) yield JSON.parse(line);
}

// The key comes out of OPENAI_API_KEY.
const client = await createClient({ baseURL: process.env.BASE_URL, model: process.env.MODEL ?? 'gpt-4o-mini', maxRetries: 5 });
const file = createWriteStream(output);
let failed = 0;
for await (const result of client.stream(requests(input))) {
  if (!result.ok) failed++;
  if (!file.write(`${JSON.stringify(result)}\n`)) await once(file, 'drain'); // a slow disk holds the source back, too
}
file.end();
await once(file, 'finish');
await client.close();
console.log(`${failed} failed`);
process.exitCode = failed ? 1 : 0;
