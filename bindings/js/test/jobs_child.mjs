// jobs_child.mjs: a program of a user's, to be killed: submits requests under one id, waits for their results, prints them.
//
//   node jobs_child.mjs '{"module":URL,"client":{},"folder":PATH,"id":"","count":N,"options":{}}'
//
// Its clock runs fifty times as fast: a job that was perhaps created is looked for during a minute.
const speed = 50;
const { now } = performance, { setTimeout: wait } = globalThis;
performance.now = () => now.call(performance) * speed;
globalThis.setTimeout = (fn, ms, ...given) => wait(fn, (ms ?? 0) / speed, ...given);

const { module, client: settings, folder, id, count, options } = JSON.parse(process.argv[2]);
const { createClient, fileStore } = await import(module);
const client = await createClient(settings);
const store = fileStore(folder);
const requests = Array.from({ length: count }, (_, i) => ({ prompt: `${id} ${i}`, customId: `row ${i}`, metadata: { i } }));
try {
  await client.jobs.submit(requests, { store, id, ...options });
  const results = await client.jobs.wait(id, { store, pollIntervalMs: 500 });
  console.log(JSON.stringify(results.map(({ customId, index, ok, text, lane, metadata }) => ({ customId, index, ok, text, lane, metadata }))));
} catch (error) {
  console.log(JSON.stringify({ name: error.name, code: error.code, message: error.message, stack: error.stack }));
  process.exitCode = 1;
}
await client.close();
