// types.ts: the types as users meet them. It is compiled, never run; each @ts-expect-error is an error that must be there.
import {
  type BatchResults, type Client, type ClientStatus, createClient, jsonLinesReporter, pool, type Result, SheafBatchError, SheafError, type Transport, useModule,
} from 'sheaf';
import * as inline from 'sheaf/inline';
import { type JobInfo, type JobResult, type JobResults, type Jobs, type JobStore, kvStore, memoryStore, openJobs, type Submission } from 'sheaf/jobs';
import { fileStore, readState, runFile } from 'sheaf/node';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

const client: Client = await createClient({ provider: 'openai', model: 'm', concurrency: 'auto', maxRetries: 3, resendUnknown: 'never' });
const results: BatchResults = await client.batch(['a', { prompt: 'b', maxTokens: 5 }, { messages: [{ role: 'user', content: 'c' }] }]);
const first: Result | undefined = results[0];
same<typeof results.failures, Result[]>(true);
same<typeof results.stats.cost, number>(true);
if (first?.error?.class === 'rate_limit') console.log(first.error.status + 1);
for await (const result of client.stream((async function* () { yield 'x'; })(), { highWater: 5, signal: AbortSignal.timeout(5) }))
  same<typeof result, Result>(true);
await client.submit('x', { onToken: ({ text, index }) => console.log(text.length + index) });
same<ReturnType<typeof client.metrics>, string>(true);
const text: string = client.metrics('openmetrics');
await using other = await inline.createClient();
same<typeof other, Client>(true);

const double = pool(async (n: number, word?: string) => `${word}${n * 2}`, { concurrency: 16, rpm: 500, retries: 4 });
same<ReturnType<typeof double>, Promise<string>>(true);
await double(1, 'a');
pool(function () {
  const { attempt, signal } = this;
  same<typeof attempt, number>(true);
  return signal.aborted;
});
await client.submit('x', { priority: 'urgent', maxWaitMs: 5, trustKey: 'k', dedup: true, signal: AbortSignal.timeout(5) });
client.pause();
same<ReturnType<typeof client.stop>, Promise<void>>(true);
const resumed: void = client.resume();
const { healthy, waiting }: ClientStatus = client.status();
client.set('maxRetries', waiting + (healthy ? 1 : 0));
const stream = client.stream(['x'], { budget: { requests: 1 } });
same<typeof stream.state, Uint8Array | undefined>(true);
await createClient({
  merge: 'prompts', window: 'eager', dedup: 'all', cacheEntries: 5, onFull: 'reject', fullWaitMs: 5,
  preprocess: async (request) => (request === 'known' ? { answer: 'this' } : request),
  fallback: (request, failed) => (failed.error?.retryable ? JSON.stringify(request) : undefined),
  onGroup: ({ id, state, members, at }) => console.log(id + members + at, state === 'completed', resumed),
  onEvent: (event) => console.log(event.type === 'group' ? event.members : event.message),
  report: { intervalMs: 5, reporter: jsonLinesReporter((line) => console.log(line)) },
});
await runFile(client, 'in.jsonl', new URL('file:///out.jsonl'));
same<ReturnType<typeof readState>, Promise<Uint8Array>>(true);
useModule(new URL('https://example.org/sheaf.wasm'));
useModule(new Uint8Array(8));

const transport: Transport = { start: (exchange, reply) => reply.fail('broken', exchange.url) };
await createClient({ transport, endpoints: [{ provider: 'anthropic', apiKey: 'k', weight: 2 }] });
try {
  await client.batch([]);
} catch (error) {
  if (error instanceof SheafBatchError) same<typeof error.results, BatchResults>(true);
  if (error instanceof SheafError) console.log(error.code.length, error.field?.length, text);
}

// @ts-expect-error There is no such option.
await createClient({ maxRetry: 3 });
// @ts-expect-error Not one of the choices.
await createClient({ resendUnknown: 'sometimes' });
// @ts-expect-error A number.
await createClient({ rpm: '500' });
// @ts-expect-error No such class.
if (first?.error?.class === 'no_such_class') console.log();
// @ts-expect-error The function takes a number.
await double('1');
// @ts-expect-error Neither waits nor refuses.
await createClient({ onFull: 'drop' });
// @ts-expect-error No such state.
await createClient({ onGroup: ({ state }) => state === 'lost' });
// @ts-expect-error Not an order.
await client.batch([], { order: 'random' });

const stored: JobStore = fileStore('folder');
same<typeof client.jobs, Jobs>(true);
const submission: Submission = await client.jobs.submit(['a', { prompt: 'b' }], {
  store: memoryStore(), id: 'mine', metadata: { any: 1 }, completionWindow: '24h', maxRequestsPerJob: 100, rescue: 'live',
  onProgress: ({ done, total, jobs }) => console.log(done / total, jobs.length), signal: AbortSignal.timeout(5),
});
const [job] = submission.jobs;
const state: JobInfo['state'] | undefined = job?.state;
if (job && state === 'undecided') await client.jobs.decide(submission.id, job.number, 'adopt', { store: stored, jobId: 'batch_1' });
same<Awaited<ReturnType<typeof client.jobs.wait>>, JobResults>(true);
const waited = await client.jobs.wait('mine', { store: stored, pollIntervalMs: 5000, timeoutMs: 60000 });
same<typeof waited.stats.cost, number>(true);
for await (const result of client.jobs.results('mine', { store: stored })) {
  same<typeof result, JobResult>(true);
  same<typeof result.lane, 'batch' | 'live'>(true);
}
const { available, reason } = await client.jobs.available({ lane: 'batch', provider: 'mistral', url: '/v1/embeddings' });
console.log(available, reason);
const kv = new Map<string, Uint8Array>();
const own = kvStore({
  get: (key) => kv.get(key), put: (key, value) => kv.set(key, value), delete: (key) => kv.delete(key),
  list: ({ prefix }) => ({ keys: [...kv.keys()].filter((name) => name.startsWith(prefix)).map((name) => ({ name })) }),
}, { partBytes: 60_000 });
const jobs = await openJobs({ provider: 'groq', model: 'm' });
await jobs.cancel('mine', { store: own });
await jobs.close();
await createClient({ provider: 'azure', baseURL: 'https://mine.openai.azure.com/openai/v1' });

// @ts-expect-error: a store is needed
await client.jobs.submit(['a'], {});
// @ts-expect-error: a window is hours or days
await client.jobs.submit(['a'], { store: own, completionWindow: '24' });
// @ts-expect-error: there is no such lane
await client.jobs.available({ lane: 'fast' });
