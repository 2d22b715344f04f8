// Streams ten answers into a list. Vite finds the package's WebAssembly module by itself.
//
// Keys do not belong into pages: requests go to this page's own origin, where a server adds the key (vite.config.js has one
// for development).
import { createClient } from 'sheaf';

const prompts = Array.from({ length: 10 }, (_, i) => `Name a plant that begins with ${'ABCDEFGHIJ'[i]}.`);
const items = prompts.map(() => document.getElementById('answers').appendChild(document.createElement('li')));

const client = await createClient({ baseURL: '/v1', model: 'gpt-4o-mini', concurrency: 4 });
const results = await client.batch(prompts, {
  onToken: ({ index, text }) => items[index].append(text),
  onDiscard: ({ index }) => items[index].replaceChildren(), // another try follows
});
document.getElementById('status').textContent = `${results.length - results.failures.length} of ${results.length} answered`;
await client.close();
