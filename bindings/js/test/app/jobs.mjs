// jobs.mjs: cases of provider jobs: submitted, asked, waited for, collected elsewhere, rescued, cancelled; and their stores.
import * as sheafJobs from 'sheaf/jobs';

import { atLeast, echo, echoes, equal, numbered, ok, rejection, show, withClient } from './checks.mjs';

const { memoryStore, kvStore, indexedDbStore, openJobs } = sheafJobs;
const paths = { openai: '/v1', anthropic: '', gemini: '/v1beta', mistral: '/v1' };
const poll = { pollIntervalMs: 100 };
const prices = { prices: ['openai', 'anthropic', 'gemini', 'mistral'].map((provider) => ({ provider, model: 'sim-1', input: 2, output: 8 })) };

/** A client of one provider's shape, at the simulator whose jobs take a moment. */
const withJobs = (t, provider, more, act) => withClient(
  t, { provider, baseURL: `${t.jobsUrl}${paths[provider]}`, prices, ...(provider === 'anthropic' ? { maxTokens: 50 } : {}), ...more }, act);

/** A fetch that keeps the methods and paths of what is sent. */
function watching() {
  const own = (url, options) => {
    own.sent.push(`${options?.method ?? 'GET'} ${new URL(url).pathname}`);
    return fetch(url, options);
  };
  own.sent = [];
  own.created = () => own.sent.filter((line) => line === 'POST /v1/batches').length;
  return own;
}

/** A Map with the calls of Cloudflare's KV, that lists three names at a time. */
function kvOf(map) {
  return {
    get: async (key) => map.get(key)?.slice().buffer ?? null,
    put: async (key, value) => void map.set(key, new Uint8Array(value)),
    delete: async (key) => void map.delete(key),
    list: async ({ prefix, cursor = '' }) => {
      const names = [...map.keys()].filter((name) => name.startsWith(prefix) && name > cursor).sort();
      const page = names.slice(0, 3);
      return { keys: page.map((name) => ({ name })), list_complete: names.length <= 3, cursor: page.at(-1) };
    },
  };
}

/** The stores that this runtime has, each twice over the same contents: what one writes, the other reads. */
function storesOf(t) {
  const map = new Map(), stores = [['kv, in parts', kvStore(kvOf(map), { partBytes: 300 }), kvStore(kvOf(map), { partBytes: 300 })]];
  if (t.kv) stores.push(['the platform\'s KV', kvStore(t.kv), kvStore(t.kv)]);
  if (typeof indexedDB === 'object') stores.push(['IndexedDB', indexedDbStore(), indexedDbStore()]);
  return stores;
}

let drawn = 0;
const fresh = (word) => `${word} ${++drawn} ${Date.now().toString(36)}`;
const collected = async (results) => {
  const all = [];
  for await (const result of results) all.push(result);
  return all;
};

const ofProvider = (provider) => (t) => withJobs(t, provider, {}, async (client) => {
  const store = memoryStore(), id = fresh(provider), prompts = numbered(9, id);
  const progress = [];
  const submission = await client.jobs.submit(
    prompts.map((prompt, i) => ({ prompt, customId: `of "${i}"`, metadata: { i } })), { store, id, metadata: { of: 'mine' }, maxRequestsPerJob: 5 });
  equal([submission.id, submission.metadata, submission.requests, submission.done], [id, { of: 'mine' }, 9, false], 'submission');
  equal(submission.jobs.map(({ number, requests, provider: whose }) => [number, requests, whose]), [[1, 5, provider], [2, 4, provider]], 'jobs');
  ok(submission.jobs.every((job) => job.id && job.createdAt > 0), 'each was created');
  const { jobs } = await client.jobs.status(id, { store });
  ok(jobs.every((job) => /queued|running|validating|ending|completed/.test(job.state)), `states: ${show(jobs)}`);
  const results = await client.jobs.wait(id, { store, ...poll, onProgress: (event) => progress.push(event) });
  equal(results.map((result) => [result.index, result.customId, result.text, result.metadata]),
    prompts.map((prompt, i) => [i, `of "${i}"`, echo(prompt), { i }]), 'results');
  ok(results.every((result) => result.ok && result.lane === 'batch' && result.provider === provider), 'each came with a job');
  equal(progress.at(-1)?.done, 9, 'progress');
  const [{ usage, cost }] = results;
  equal(Math.round(cost * 1e9), Math.round((usage.inputTokens * 2000 + usage.outputTokens * 8000) / 2), 'at half the price');
  equal([results.stats.succeeded, results.failures.length], [9, 0], 'figures');
  equal((await client.jobs.list({ store })).map((each) => [each.id, each.done, each.jobs.map((job) => job.state)]),
    [[id, true, ['collected', 'collected']]], 'list');
});

export const jobCases = {
  'jobs of OpenAI': ofProvider('openai'),
  'jobs of Anthropic': ofProvider('anthropic'),
  'jobs of Gemini': ofProvider('gemini'),
  'jobs of Mistral': ofProvider('mistral'),

  'jobs without a client, embeddings among them': async (t) => {
    const jobs = await openJobs({ baseURL: `${t.jobsUrl}/v1`, model: 'embed-1', keepBody: true, ...t.options });
    const store = memoryStore(), id = fresh('embeddings');
    await jobs.submit(numbered(3, id).map((input) => ({ url: '/v1/embeddings', input })), { store, id });
    const results = await jobs.wait(id, { store, ...poll });
    ok(results.every(({ body }) => JSON.parse(new TextDecoder().decode(body)).data[0].embedding.length > 0), 'vectors');
    await jobs.close();
  },

  'submitted by one, collected by another, told again': async (t) => {
    for (const [name, here, there] of storesOf(t)) {
      const id = fresh('elsewhere'), prompts = numbered(12, id);
      await withJobs(t, 'openai', {}, (client) => client.jobs.submit(prompts, { store: here, id, maxRequestsPerJob: 7 }));
      await withJobs(t, 'openai', {}, async (client) => {
        let results = [];
        for (const end = Date.now() + 30000; results.length < 12 && Date.now() < end;) results = await collected(client.jobs.results(id, { store: there }));
        equal(results.map(({ index, text }) => [index, text]).sort(([a], [b]) => a - b), echoes(prompts).map((text, i) => [i, text]), `${name}: results`);
        const own = await collected(client.jobs.results(id, { store: here }));
        equal(own.map(({ text }) => text).sort(), echoes(prompts).sort(), `${name}: told again`);
        ok(own.every(({ ok: isOk, lane, usage }) => isOk && lane === 'batch' && usage.outputTokens > 0), `${name}: as before`);
        await client.jobs.remove(id, { store: there });
        equal((await client.jobs.list({ store: here })).filter((each) => each.id === id), [], `${name}: removed`);
      });
    }
  },

  'submitted again with its id, nothing is sent twice': (t) => {
    const own = watching();
    return withJobs(t, 'openai', { fetch: own }, async (client) => {
      const store = memoryStore(), id = fresh('again'), prompts = numbered(6, id);
      const first = await client.jobs.submit(prompts, { store, id });
      const second = await client.jobs.submit(prompts, { store, id });
      equal(second.jobs.map((job) => job.id), first.jobs.map((job) => job.id), 'the same job');
      await client.jobs.wait(id, { store, ...poll });
      equal((await client.jobs.submit(prompts, { store, id })).done, true, 'done');
      equal(own.created(), 1, 'jobs that were made');
      equal((await rejection(client.jobs.submit([...prompts, 'one more'], { store, id }), 'others')).code, 'E_OTHER_RUN', 'more requests');
      const other = fresh('other');
      await client.jobs.submit(prompts, { store, id: other });
      equal((await rejection(client.jobs.submit(prompts.toReversed?.() ?? [...prompts].reverse(), { store, id: other }), 'others')).code, 'E_OTHER_RUN', 'other requests');
    });
  },

  'what a job lost runs live, or ends as what happened to it': async (t) => {
    const options = { baseURL: `${t.partialUrl}/v1` };
    await withJobs(t, 'openai', options, async (client) => {
      const store = memoryStore(), id = fresh('rescued'), prompts = numbered(10, id);
      await client.jobs.submit(prompts, { store, id });
      const results = await client.jobs.wait(id, { store, ...poll });
      equal(results.map(({ text }) => text), echoes(prompts), 'texts');
      const live = results.filter(({ lane }) => lane === 'live');
      ok(live.length > 0 && live.length < 10, `${live.length} ran live`);
      equal((await client.jobs.list({ store }))[0].jobs[0].rescued, live.length, 'rescued');
    });
    await withJobs(t, 'openai', options, async (client) => {
      const store = memoryStore(), id = fresh('not rescued');
      await client.jobs.submit(numbered(10, id), { store, id, rescue: 'off' });
      const results = await client.jobs.wait(id, { store, ...poll, rescue: 'off' });
      ok(results.failures.length > 0 && results.failures.every(({ error, lane }) => error.class === 'expired' && lane === 'batch'), 'failures');
    });
  },

  'waiting ends in time, or when told, and nothing is lost': (t) => withJobs(t, 'openai', { baseURL: `${t.longUrl}/v1` }, async (client) => {
    const store = memoryStore(), id = fresh('in time'), prompts = numbered(3, id);
    await client.jobs.submit(prompts, { store, id });
    equal((await rejection(client.jobs.wait(id, { store, ...poll, timeoutMs: 150 }), 'waiting')).code, 'E_LATER', 'code');
    const stopped = new AbortController();
    setTimeout(() => stopped.abort(new Error('enough')), 150);
    equal((await rejection(client.jobs.wait(id, { store, ...poll, signal: stopped.signal }), 'waiting')).message, 'enough', 'reason');
    equal(await collected(client.jobs.results(id, { store })), [], 'results so far');
    equal((await client.jobs.wait(id, { store, ...poll })).map(({ text }) => text), echoes(prompts), 'texts in the end');
  }),

  'cancelled jobs bring what they have': (t) => withJobs(t, 'openai', { baseURL: `${t.longUrl}/v1` }, async (client) => {
    const store = memoryStore(), id = fresh('cancelled');
    await client.jobs.submit(numbered(5, id), { store, id });
    const { jobs } = await client.jobs.cancel(id, { store });
    ok(/ending|cancelled/.test(jobs[0].state), jobs[0].state);
    const results = await client.jobs.wait(id, { store, ...poll });
    equal(results.length, 5, 'results');
    ok(results.failures.every(({ error }) => error.class === 'cancelled'), 'failures');
    atLeast(results.failures.length, 1, 'cancelled rows');
  }),

  'one at a time looks after a submission': (t) => withJobs(t, 'openai', { baseURL: `${t.longUrl}/v1` }, async (client) => {
    const store = memoryStore(), id = fresh('one at a time');
    await client.jobs.submit(['hello'], { store, id });
    const waiting = client.jobs.wait(id, { store, ...poll, timeoutMs: 400 });
    equal((await rejection(client.jobs.status(id, { store }), 'another')).code, 'E_OTHER_RUN', 'code');
    await rejection(waiting, 'waiting');
    await client.jobs.status(id, { store });
  }),

  'what is wrong with a call is said, and nothing is sent': (t) => {
    const own = watching();
    return withJobs(t, 'openai', { fetch: own }, async (client) => {
      const store = memoryStore();
      const wrong = async (promise, code) => {
        const error = await rejection(promise, code);
        equal([error instanceof t.sheaf.SheafError, error.code], [true, code], error.message);
      };
      await wrong(client.jobs.submit(['x'], {}), 'E_FIELD');
      await wrong(client.jobs.submit([], { store }), 'E_FIELD');
      await wrong(client.jobs.submit(['x'], { store, completionWindow: 'soon' }), 'E_RANGE');
      await wrong(client.jobs.submit(['x'], { store, maxJobs: -1 }), 'E_RANGE');
      await wrong(client.jobs.submit(['fine', { prompt: 'a', messages: [] }], { store }), 'E_FIELD');
      await wrong(client.jobs.submit(['fine', { url: '/v1/images', prompt: 'a' }], { store }), 'E_UNSUPPORTED');
      for (const call of ['status', 'wait', 'cancel', 'remove']) await wrong(client.jobs[call]('nobody\'s', { store }), 'E_NOT_FOUND');
      await wrong(collected(client.jobs.results('nobody\'s', { store })), 'E_NOT_FOUND');
      await wrong(client.jobs.decide('nobody\'s', 1, 'abandon', { store }), 'E_NOT_FOUND');
      equal([await client.jobs.list({ store }), own.sent], [[], []], 'what is left');
    });
  },

  'a store that fails ends the call, and nothing is created': (t) => {
    const own = watching(), whole = memoryStore();
    let appends = 0;
    const store = { ...whole, append: (...given) => (++appends > 2 ? Promise.reject(new Error('the disk is full')) : whole.append(...given)) };
    return withJobs(t, 'openai', { fetch: own }, async (client) => {
      const error = await rejection(client.jobs.submit(['x'], { store, id: fresh('failing') }), 'submitting');
      equal([error.message, own.created()], ['the disk is full', 0], 'why, and jobs');
    });
  },

  'what can go which way': (t) => withJobs(t, 'openai', {}, async (client) => {
    const can = async (question) => (await client.jobs.available(question)).available;
    equal(await Promise.all([
      can(), can({ url: '/v1/embeddings' }), can({ url: '/v1/responses' }), can({ provider: 'gemini', model: 'm' }), can({ lane: 'live' }),
      can({ lane: 'merged' }), can({ lane: 'live', provider: 'ollama' }),
    ]), Array(7).fill(true), 'what can');
    for (const question of [{ provider: 'ollama' }, { url: '/v1/images' }, { lane: 'merged', url: '/v1/responses' }]) {
      const { available, reason } = await client.jobs.available(question);
      ok(available === false && reason.length > 0, `${show(question)}: ${reason}`);
    }
  }),

  'keys are no more public with jobs than without': async (t) => {
    if (!t.isBrowser) return;
    equal((await rejection(openJobs({ apiKey: 'secret', model: 'm' }), 'a key')).code, 'E_AUTH', 'code');
  },
};
