// conformance.mjs: what the package promises in every runtime, as plain functions: no test runner, nothing of Node's.
//
//   run(sheaf, world)   sheaf: the package's exports; world: the simulators' addresses and what the runtime is
//                       answers [{ name, error }]; error is undefined where the promise holds
//
// The simulator (`sheaf sim`) is told what to do wrong by a header that a client sends with each of its requests, or by
// rules over words in the body (rules.jsonl). Prompts differ between cases, because it counts how often it saw a body.

import { atLeast, atMost, counting, echo, echoes, equal, fault, numbered, ok, rejection, show, sleep, textOf, withClient } from './checks.mjs';
import { jobCases } from './jobs.mjs';
import { queueCases } from './queue.mjs';

export const cases = {
  'a list comes back in its order': (t) => withClient(t, {}, async (client) => {
    const results = await client.batch(numbered(20, 'ordered'));
    equal(results.map((r) => r.text), echoes(numbered(20, 'ordered')), 'texts');
    equal(results.map((r) => r.index), [...results.keys()], 'places');
    ok(results.every((r) => r.ok && r.error === undefined && r.attempts === 1), 'every one went well at once');
    equal([results.stats.total, results.stats.succeeded, results.stats.failed], [20, 20, 0], 'figures');
  }),

  'or as results complete': (t) => withClient(t, {}, async (client) => {
    // The simulator refuses the first prompt once, with a hint to wait.
    const prompts = ['limited once, so last', ...numbered(5, 'at once')];
    const results = await client.batch(prompts, { order: 'completion' });
    equal(results.at(-1).index, 0, 'the last');
    equal(results.map((r) => r.text).sort(), echoes(prompts).sort(), 'texts');
    ok(results.every((r) => r.text === echo(prompts[r.index])), 'places are those of the list');
  }),

  'an empty list is no error': (t) => withClient(t, {}, async (client) => {
    equal((await client.batch([])).length, 0, 'results');
  }),

  'some fail, the rest is well': (t) => withClient(t, { maxRetries: 1 }, async (client) => {
    const results = await client.batch(['fine 1', { prompt: 'elsewhere', model: 'no-such-model' }, 'always broken', 'fine 2']);
    equal(results.map((r) => r.ok), [true, false, false, true], 'ok');
    equal(results.failures.map((r) => r.index), [1, 2], 'failures');
    equal([results[1].error.class, results[1].error.status, results[1].attempts], ['not_found', 404, 1], 'what no retry can help');
    equal([results[2].error.class, results[2].error.status, results[2].attempts], ['server', 500, 2], 'what was retried once');
    equal([results[1].text, results[2].text], ['', ''], 'texts of failures');
    ok(results[1].error.message.length > 0, 'an error has a message');
  }),

  'all fail: the call rejects with the results': (t) => withClient(t, { model: 'no-such-model' }, async (client) => {
    const error = await rejection(client.batch(numbered(3, 'doomed')), 'the batch');
    ok(error instanceof t.sheaf.SheafBatchError && error instanceof t.sheaf.SheafError && error instanceof Error, 'its class');
    equal([error.name, error.code], ['SheafBatchError', 'E_ALL_FAILED'], 'name and code');
    equal(error.results.map((r) => r.error.class), ['not_found', 'not_found', 'not_found'], 'results');
    ok(error.message.includes('not_found'), `the message names the class: ${error.message}`);
  }),

  'a 429 with a hint is obeyed and is no retry': (t) => withClient(t, { ...fault('429:1'), maxRetries: 0 }, async (client) => {
    const result = await client.submit('hinted');
    ok(result.ok, `it went well: ${show(result.error)}`);
    equal([result.attempts, result.throttles], [2, 1], 'attempts and throttles');
    atLeast(result.totalMs, t.retryAfterMs, 'ms in all');
  }),

  'a 429 without one is waited out, too': (t) => withClient(t, { maxRetries: 0 }, async (client) => {
    const results = await client.batch([...numbered(20, 'not limited'), 'limited without a word']);
    equal([results.stats.failed, results.stats.throttles], [0, 1], 'failed and throttles');
  }),

  'a server error is retried': (t) => withClient(t, fault('500:2'), async (client) => {
    const result = await client.submit('third time lucky');
    equal([result.ok, result.attempts, result.throttles, result.text], [true, 3, 0, echo('third time lucky')], 'result');
  }),

  'a broken connection is retried': (t) => withClient(t, fault('reset:1'), async (client) => {
    const result = await client.submit('once more with feeling');
    // Some runtimes try again by themselves, below us.
    equal([result.ok, result.text], [true, echo('once more with feeling')], 'result');
  }),

  'nobody listens: class network': (t) => withClient(t, { baseURL: t.nowhere, maxRetries: 1 }, async (client) => {
    const result = await client.submit('hello?');
    equal([result.ok, result.error.class, result.error.status], [false, 'network', 0], 'result');
    atLeast(result.attempts, 2, 'attempts');
  }),

  'a stalled attempt is given up and tried again': (t) =>
    withClient(t, { ...fault('stall:1'), attemptTimeoutMs: 300, resendUnknown: 'always' }, async (client) => {
      const result = await client.submit('are you there');
      equal([result.ok, result.attempts, result.text], [true, 2, echo('are you there')], 'result');
      equal(result.resentUnknown, true, 'it may have been billed twice');
    }),

  'a stall without retries is a timeout': (t) =>
    withClient(t, { ...fault('stall'), attemptTimeoutMs: 200, maxRetries: 0 }, async (client) => {
      const result = await client.submit('anybody');
      equal([result.ok, result.attempts, result.billing], [false, 1, 'unknown'], 'result');
      ok(['timeout', 'unknown_outcome'].includes(result.error.class), `class ${result.error.class}`);
    }),

  'a deadline ends a request over all its tries': (t) =>
    withClient(t, { ...fault('429:99'), deadlineMs: 3 * t.retryAfterMs }, async (client) => {
      const result = await client.submit('too late');
      equal([result.ok, result.error.class], [false, 'deadline'], 'result');
    }),

  'abort with drain: what runs ends well, the rest is cancelled': (t) => withClient(t, { concurrency: 2 }, async (client) => {
    const stop = new AbortController();
    const results = await client.batch(numbered(40, 'drained'), {
      signal: stop.signal, onAbort: 'drain', progressMs: 0, onProgress: () => stop.abort(),
    });
    const failures = results.failures;
    equal(results.length, 40, 'every request has a result');
    equal(results.map((r) => r.index), [...results.keys()], 'places');
    ok(failures.every((r) => r.error.class === 'cancelled' && !r.attempted), 'the failures were never sent');
    atLeast(failures.length, 30, 'cancelled');
    atLeast(results.stats.succeeded, 1, 'well');
  }),

  'abort with cancel ends what runs': (t) => withClient(t, { ...fault('stall'), concurrency: 2 }, async (client) => {
    const stop = new AbortController();
    const running = client.batch(numbered(5, 'hanging'), { signal: stop.signal, onAbort: 'cancel' });
    while (client.metrics().in_flight < 2) await sleep(5);
    stop.abort();
    const error = await rejection(running, 'the batch');
    equal(error.results.map((r) => r.error.class), Array(5).fill('cancelled'), 'classes');
    equal(error.results.filter((r) => r.attempted).length, 2, 'what had been sent');
  }),

  'a signal that fired before sends nothing': (t) => {
    const own = counting();
    return withClient(t, { fetch: own }, async (client) => {
      const error = await rejection(client.batch(['never'], { signal: AbortSignal.abort() }), 'the batch');
      equal(error.results.map((r) => [r.error.class, r.attempted]), [['cancelled', false]], 'results');
      const single = await client.submit('never alone', { signal: AbortSignal.abort() });
      equal([single.ok, single.error.class], [false, 'cancelled'], 'a single one');
      equal(own.calls, 0, 'calls');
    });
  },

  'text streams in as it comes': (t) => withClient(t, { baseURL: t.slowUrl }, async (client) => {
    const prompts = ['one two three four five six seven eight', 'ein zwei drei vier fünf sechs ✓'];
    const streamed = ['', ''], pieces = [0, 0];
    const results = await client.batch(prompts, {
      onToken({ index, text }) {
        streamed[index] += text;
        pieces[index]++;
      },
    });
    equal(results.map((r) => r.text), echoes(prompts), 'texts');
    equal(streamed, echoes(prompts), 'what was streamed');
    atLeast(Math.min(...pieces), 2, 'pieces');
    ok(results.every((r) => r.ttftMs > 0), 'time to the first token is told');
    atLeast(results[0].usage.outputTokens, 1, 'tokens of a streamed answer');
  }),

  'a stream that breaks is taken back': (t) => withClient(t, {
    ...fault('cut:1'), resendUnknown: 'always', baseURL: t.slowUrl,
  }, async (client) => {
    const prompt = 'a text that is long enough to be cut in the middle of it, and then comes again from its start';
    let text = '', discards = 0;
    const result = await client.submit(prompt, {
      onToken: (event) => (text += event.text),
      onDiscard() {
        text = '';
        discards++;
      },
    });
    equal([result.ok, result.attempts, discards], [true, 2, 1], 'ok, attempts, discards');
    equal(text, echo(prompt), 'what was streamed and not taken back');
  }),

  'a thousand prompts': (t) => withClient(t, { concurrency: 64 }, async (client) => {
    let last;
    const results = await client.batch(numbered(1000, 'many'), { onProgress: (progress) => (last = progress) });
    equal(results.map((r) => r.text), echoes(numbered(1000, 'many')), 'texts');
    equal([last.done, last.total, last.succeeded, last.failed], [1000, 1000, 1000, 0], 'the last progress');
    if (t.cap !== undefined) atMost(client.metrics().concurrency_max, t.cap, 'connections');
  }),

  'more than the queue holds': (t) => withClient(t, { queueCapacity: 10 }, async (client) => {
    const results = await client.batch(numbered(100, 'queued'));
    equal(results.map((r) => r.text), echoes(numbered(100, 'queued')), 'texts');
  }),

  'a source is read no further ahead than it must be': (t) =>
    withClient(t, { queueCapacity: 8, concurrency: 2 }, async (client) => {
      let pulled = 0, taken = 0, ahead = 0;
      async function* source() {
        for (; pulled < 60; ) {
          ahead = Math.max(ahead, pulled - taken);
          yield `source ${pulled++}`;
        }
      }
      const seen = [];
      for await (const result of client.stream(source(), { highWater: 4 })) {
        seen.push(result.text);
        equal(result.text, echo(`source ${result.index}`), 'a place');
        taken++;
        if (taken % 10 === 0) await sleep(20); // a consumer that is slow
      }
      equal(seen.length, 60, 'results');
      // What is waiting or in flight inside, what is ready, and the one that is being handed over.
      atMost(ahead, 8 + 2 + 4 + 1, 'read ahead');
    }),

  'leaving a stream early closes the source': (t) => withClient(t, { concurrency: 2 }, async (client) => {
    let isClosed = false;
    function* source() {
      try {
        for (let i = 0; ; i++) yield `endless ${i}`;
      } finally {
        isClosed = true;
      }
    }
    let taken = 0;
    for await (const result of client.stream(source())) {
      ok(result.ok, 'a result');
      if (++taken === 3) break;
    }
    ok(isClosed, 'the source was closed');
  }),

  'a source that throws ends the stream with its error': (t) => withClient(t, {}, async (client) => {
    async function* source() {
      yield 'before the error';
      throw new RangeError('the source is broken');
    }
    const error = await rejection((async () => {
      for await (const result of client.stream(source())) ok(result.ok, 'a result');
    })(), 'the stream');
    equal([error.name, error.message], ['RangeError', 'the source is broken'], 'error');
  }),

  'an unknown option is named': async (t) => {
    const error = await rejection(t.sheaf.createClient({ baseURL: t.url, maxRetry: 3 }), 'createClient');
    ok(error instanceof t.sheaf.SheafError, 'its class');
    equal(error.field, 'maxRetry', 'field');
    ok(error.message.includes('maxRetry'), `the message: ${error.message}`);
  },

  'a value out of range is named': async (t) => {
    const error = await rejection(t.sheaf.createClient({ baseURL: t.url, maxRetries: 1e6 }), 'createClient');
    equal([error.field, error.code], ['maxRetries', 'E_RANGE'], 'field and code');
    const other = await rejection(t.sheaf.createClient({ provider: 'nobody' }), 'createClient');
    equal(other.field, 'provider', 'field');
  },

  'a bad request names row and field, and nothing is sent': (t) => {
    const own = counting();
    return withClient(t, { fetch: own }, async (client) => {
      const error = await rejection(client.batch(['good', { prompt: 5 }, 'good, too']), 'the batch');
      ok(error instanceof t.sheaf.SheafError && !(error instanceof t.sheaf.SheafBatchError), 'its class');
      ok(error.message.includes('request 2'), `the message names the row: ${error.message}`);
      equal(error.field, 'prompt', 'field');
      const single = await rejection(client.submit({ prompt: 'x', deadlineMs: 'soon' }), 'submit');
      equal(single.field, 'deadlineMs', 'field');
      equal(own.calls, 0, 'calls');
      ok((await client.submit('well after that')).ok, 'the client is good for more');
    });
  },

  'a key goes where it should, and nowhere without leave': async (t) => {
    const options = { baseURL: `${t.keyedUrl}/v1`, model: 'sim-1', apiKey: t.key };
    if (t.isBrowser) {
      const error = await rejection(t.sheaf.createClient(options), 'createClient in a page');
      equal([error.code, error.field], ['E_AUTH', 'apiKey'], 'code and field');
      ok(error.message.includes('dangerouslyAllowBrowser'), `the message says how: ${error.message}`);
      const several = await rejection(t.sheaf.createClient({ endpoints: [{ baseURL: t.url }, options] }), 'one of several');
      equal(several.field, 'apiKey', 'field');
      // A server of the page's own may have one.
      await (await t.sheaf.createClient({ baseURL: new URL('/v1', t.origin).href, apiKey: 'session' })).close();
    }
    await withClient(t, { ...options, dangerouslyAllowBrowser: true }, async (client) => {
      ok((await client.submit('let me in')).ok, 'the right key');
    });
    await withClient(t, { ...options, apiKey: 'wrong', dangerouslyAllowBrowser: true }, async (client) => {
      const result = await client.submit('let me in, too');
      equal([result.ok, result.error.class, result.error.status], [false, 'auth', 401], 'the wrong key');
      ok(!JSON.stringify(result).includes('wrong'), 'no result holds the key');
    });
  },

  'metrics as an object and as OpenMetrics': (t) => withClient(t, fault('500:1'), async (client) => {
    await client.batch(numbered(4, 'measured'));
    const metrics = client.metrics();
    equal([metrics.admitted, metrics.succeeded, metrics.attempts, metrics.retries, metrics.in_flight], [4, 4, 8, 4, 0], 'counters');
    const text = client.metrics('openmetrics');
    ok(text.endsWith('# EOF\n'), 'OpenMetrics text ends as it must');
    ok(/^# TYPE \w+ counter$/m.test(text), 'it names types');
  }),

  'a budget ends the run, and a notice says so': async (t) => {
    const noticed = [];
    const prices = { date: '2026-01-01', prices: [{ provider: 'openai', model: 'sim-1', input: 1000, output: 1000 }] };
    const onEvent = (notice) => noticed.push(notice.type);
    await withClient(t, { prices, budgetUsd: 0.05, concurrency: 1, maxTokens: 20, onEvent }, async (client) => {
      const results = await client.batch(numbered(20, 'paid'));
      atMost(results.stats.cost, 0.05, 'US dollars');
      atLeast(results.stats.succeeded, 1, 'well');
      ok(results.failures.length > 0 && results.failures.every((r) => r.error.class === 'budget'), 'the rest ends with class budget');
    });
    ok(noticed.includes('budget'), `a notice was given: ${noticed}`);
  },

  'a closed client says so': async (t) => {
    const client = await t.sheaf.createClient({ baseURL: t.url, model: 'sim-1' });
    const pending = client.submit('the last');
    const closing = client.close();
    equal((await rejection(client.batch(['late']), 'a batch after close')).code, 'E_MISUSE', 'code');
    await closing;
    await client.close();
    equal((await pending).error?.class, 'cancelled', 'what had not started');
  },

  'closing ends what waits as cancelled': async (t) => {
    const client = await t.sheaf.createClient({ baseURL: t.url, model: 'sim-1', concurrency: 2, queueCapacity: 5 });
    const running = client.batch(numbered(30, 'closing').map((prompt, i) => ({ prompt, customId: `id ${i}` })));
    while (client.metrics().succeeded < 2) await sleep(1);
    await client.close();
    const results = await running;
    equal(results.map((r) => r.customId), numbered(30, 'id'), 'ids');
    atLeast(results.stats.succeeded, 2, 'well');
    ok(results.failures.length > 0 && results.failures.every((r) => r.error.class === 'cancelled'), 'the rest is cancelled');
  },

  'asyncDispose closes': async (t) => {
    const client = await t.sheaf.createClient({ baseURL: t.url, model: 'sim-1' });
    await client.submit('disposed');
    await client[Symbol.asyncDispose]();
    let error;
    try {
      await client.submit('late');
    } catch (thrown) {
      error = thrown;
    }
    equal(error?.code, 'E_MISUSE', 'code');
  },

  'several clients side by side': async (t) => {
    const texts = await Promise.all(numbered(3, 'beside').map((word) =>
      withClient(t, {}, async (client) => (await client.batch(numbered(10, word))).map((r) => r.text))));
    equal(texts, numbered(3, 'beside').map((word) => echoes(numbered(10, word))), 'texts');
  },

  'pool: values, errors, retries': async (t) => {
    let tries = 0, running = 0, most = 0;
    const double = t.sheaf.pool(async (n) => {
      most = Math.max(most, ++running);
      await sleep(1);
      running--;
      return 2 * n;
    }, { concurrency: 3 });
    equal(await Promise.all([1, 2, 3, 4, 5, 6, 7].map((n) => double(n))), [2, 4, 6, 8, 10, 12, 14], 'values');
    atMost(most, 3, 'at once');
    await double.onIdle();
    equal([double.pending, double.running], [0, 0], 'when idle');
    await double.close();
    equal((await rejection(double(1), 'a call after close')).code, 'E_MISUSE', 'code');

    const flaky = t.sheaf.pool(async () => {
      if (++tries < 3) throw Object.assign(new Error('server'), { status: 500 });
      return tries;
    }, { retries: 4, retryBaseMs: 1 });
    equal(await flaky(), 3, 'tries');
    await flaky.close();

    const wrong = t.sheaf.pool(() => Promise.reject(new TypeError('a bug')), { retries: 4 });
    const error = await rejection(wrong(), 'a bug');
    equal([error.name, error.message], ['TypeError', 'a bug'], 'the error is the function\'s own');
    equal(wrong.metrics().attempts, 1, 'a bug is not retried');
    await wrong.close();
  },

  'pool: closing ends what waits': async (t) => {
    const slow = t.sheaf.pool((n) => sleep(5).then(() => n), { concurrency: 1 });
    const calls = Promise.allSettled(Array.from({ length: 20 }, (_, n) => slow(n)));
    await slow(20).catch(() => {});
    await sleep(0);
    const more = Promise.allSettled(Array.from({ length: 5000 }, (_, n) => slow(n)));
    await slow.close();
    ok((await calls).every((outcome) => outcome.status === 'fulfilled'), 'what had ended');
    const outcomes = await more;
    ok(outcomes.some(({ reason }) => reason?.code === 'E_CANCELLED'), 'what waited is cancelled');
    ok(outcomes.every(({ status, reason }) => status === 'fulfilled' || reason.code === 'E_CANCELLED'), 'nothing else');
  },

  'pool: a 429 waits as long as it says': async (t) => {
    const times = [];
    const limited = t.sheaf.pool(async () => {
      times.push(performance.now());
      if (times.length === 1)
        throw Object.assign(new Error('slow down'), { status: 429, headers: new Headers({ 'retry-after': '0.2' }) });
      return 'at last';
    }, { retries: 0 });
    equal(await limited(), 'at last', 'value');
    equal(times.length, 2, 'calls');
    // Runtimes may round their clocks.
    atLeast(times[1] - times[0], 195, 'ms between them');
    await limited.close();
  },

  'pool: functions see their attempt and its signal': async (t) => {
    const seen = [];
    const timed = t.sheaf.pool(async function () {
      seen.push(this.attempt);
      if (this.attempt === 1) await new Promise((_, reject) => this.signal.addEventListener('abort', () => reject(this.signal.reason)));
      return this.attempt;
    }, { attemptTimeoutMs: 50, retries: 2, retryBaseMs: 1, resendUnknown: 'always' });
    equal(await timed(), 2, 'value');
    equal(seen, [1, 2], 'attempts');
    await timed.close();
  },

  'embeddings, by their path': (t) => withClient(t, { keepBody: true }, async (client) => {
    const result = await client.submit({ url: '/v1/embeddings', model: 'embed-1', input: 'a vector, please' });
    ok(result.ok, `it went well: ${show(result.error)}`);
    const [{ embedding }] = JSON.parse(textOf(result.body)).data;
    ok(embedding.length > 0 && embedding.every(Number.isFinite), 'the vector is in the body');
  }),

  'anthropic': (t) => withClient(t, { provider: 'anthropic', baseURL: t.url, maxTokens: 100 }, async (client) => {
    const result = await client.submit({ prompt: 'as claude', system: 'be brief' });
    equal([result.ok, result.text, result.provider], [true, echo('as claude'), 'anthropic'], 'result');
    atLeast(result.usage.outputTokens, 1, 'output tokens');
  }),

  'gemini': (t) => withClient(t, { provider: 'gemini', baseURL: `${t.url}/v1beta` }, async (client) => {
    const result = await client.submit('as gemini');
    equal([result.ok, result.text, result.provider], [true, echo('as gemini'), 'gemini'], 'result');
  }),

  'ollama': (t) => withClient(t, { provider: 'ollama', baseURL: t.url }, async (client) => {
    let streamed = '';
    const result = await client.submit('as a model of your own', { onToken: ({ text }) => (streamed += text) });
    equal([result.ok, result.text, result.provider], [true, echo('as a model of your own'), 'ollama'], 'result');
    equal(streamed, result.text, 'what was streamed');
  }),

  'several endpoints share the work': (t) => {
    const endpoints = [
      { name: 'first', baseURL: `${t.url}/v1`, model: 'sim-1' }, { name: 'second', provider: 'anthropic', baseURL: t.url, model: 'sim-1' },
    ];
    return withClient(t, { baseURL: undefined, model: undefined, endpoints, maxTokens: 50 }, async (client) => {
      const results = await client.batch([
        { prompt: 'to the first', endpoint: 'first' }, { prompt: 'to the second', endpoint: 'second' },
      ]);
      equal(results.map((r) => [r.endpoint, r.provider]), [['first', 'openai'], ['second', 'anthropic']], 'where they went');
    });
  },

  'tools are called': (t) => withClient(t, {}, async (client) => {
    const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
    const result = await client.submit({
      messages: [{ role: 'user', content: 'what is the weather' }], toolChoice: 'required', parallelToolCalls: false,
      tools: [{ type: 'function', function: { name: 'weather', parameters } }],
    });
    ok(result.ok, `it went well: ${show(result.error)}`);
    equal(result.toolCalls.map((call) => call.name), ['weather'], 'calls');
    equal(typeof JSON.parse(result.toolCalls[0].arguments).city, 'string', 'its argument');
    equal(result.finishReason, 'tool_calls', 'finish reason');
  }),

  'usage and cost are told': (t) => {
    const prices = { date: '2026-01-01', prices: [{ provider: 'openai', model: 'sim-1', input: 2, output: 10 }] };
    return withClient(t, { prices }, async (client) => {
      const results = await client.batch([{ prompt: 'what does this cost', metadata: { tag: 7 }, customId: 'mine' }, 'and this']);
      const [{ usage, cost, metadata, customId, model, requestId }] = results;
      atLeast(usage.inputTokens, 1, 'input tokens');
      atLeast(usage.outputTokens, 1, 'output tokens');
      // US dollars by a million tokens, in nano-dollars without a rest.
      equal(Math.round(cost * 1e9), usage.inputTokens * 2000 + usage.outputTokens * 10000, 'nano-dollars');
      equal([metadata, customId, model], [{ tag: 7 }, 'mine', 'sim-1'], 'what was given comes back');
      ok(typeof requestId === 'string', 'the request id');
      equal(Math.round(results.stats.cost * 1e9), Math.round((cost + results[1].cost) * 1e9), 'the sum');
    });
  },

  'models that are known have their prices; a table of the user\'s goes before': async (t) => {
    const usage = { prompt_tokens: 1000, completion_tokens: 100, total_tokens: 1100 };
    const choices = [{ index: 0, message: { role: 'assistant', content: 'well' }, finish_reason: 'stop' }];
    const own = async () => Response.json({ id: 'c', model: 'gpt-4o-mini', choices, usage });
    const nano = (options) => withClient(t, { fetch: own, model: 'gpt-4o-mini', ...options }, async (client) =>
      Math.round((await client.submit('known')).cost * 1e9));
    // 0.15 and 0.6 US dollars a million tokens (OpenAI's price list of 2024-07-18).
    equal(await nano({}), 1000 * 150 + 100 * 600, 'nano-dollars by the table that is built in');
    const row = { provider: 'openai', model: 'gpt-4o-mini', input: 1, output: 2 };
    equal(await nano({ prices: { prices: [row] } }), 1000 * 1000 + 100 * 2000, 'by one\'s own');
    equal(await nano({ prices: { prices: [{ ...row, model: 'other' }] } }), 1000 * 150 + 100 * 600, 'by one\'s own without it');
  },

  'a table of prices that cannot be read is named': async (t) => {
    const row = { provider: 'openai', model: 'm', input: 1, output: 2 };
    const wrong = [
      ['E_FIELD', {}], ['E_TYPE', { prices: 1 }], ['E_TYPE', { prices: ['m'] }], ['E_FIELD', { prices: [{ ...row, inputs: 1 }] }],
      ['E_FIELD', { prices: [{ provider: 'openai', model: 'm', input: 1 }] }], ['E_FIELD', { prices: [{ ...row, model: '' }] }],
      ['E_TYPE', { prices: [{ ...row, provider: 1 }] }], ['E_TYPE', { prices: [{ ...row, output: '2' }] }],
      ['E_RANGE', { prices: [{ ...row, cache_read: -1 }] }], ['E_TYPE', { date: 1, prices: [row] }],
    ];
    for (const [code, prices] of wrong) {
      const error = await rejection(withClient(t, { prices }, () => {}), show(prices));
      equal([error.code, error.field], [code, 'prices'], show(prices));
      ok(error.message.startsWith('prices: '), error.message);
    }
  },

  'a body goes out as it is': (t) => withClient(t, { model: undefined }, async (client) => {
    const result = await client.submit({ body: { model: 'sim-1', messages: [{ role: 'user', content: 'bare' }], max_tokens: 9 } });
    equal([result.ok, result.text], [true, echo('bare')], 'result');
  }),

  'a budget ends a batch early, and its state goes on elsewhere': async (t) => {
    const own = counting(), prompts = numbered(12, 'budgeted');
    const first = await withClient(t, { fetch: own }, (client) => client.batch(prompts, { budget: { requests: 5 } }));
    equal([first.length, own.calls, first.state instanceof Uint8Array], [5, 5, true], 'results, exchanges, state');
    await withClient(t, { fetch: own }, async (client) => {
      const second = await client.resume(first.state, prompts, { budget: { requests: 4 } });
      equal([second.length, own.calls], [9, 9], 'results and exchanges');
      const { log, output } = await t.sheaf.splitState(second.state);
      equal(textOf(output).trimEnd().split('\n').length, 9, 'lines');
      const last = await client.resume(await t.sheaf.joinState({ log, output }), prompts);
      equal([last.state, own.calls], [undefined, 12], 'state and exchanges');
      equal(last.map((r) => r.text), echoes(prompts), 'texts');
      equal([last.stats.total, last.failures.length], [12, 0], 'figures');
      equal((await rejection(client.resume(second.state, [...prompts.slice(1), 'other'].reverse()), 'other requests')).code, 'E_OTHER_RUN', 'code');
    });
  },

  'a budget of time leaves what it cannot do': (t) => withClient(t, { concurrency: 1 }, async (client) => {
    const prompts = numbered(400, 'timed');
    const first = await client.batch(prompts, { budget: { ms: 200 } });
    ok(first.state && first.length < 400 && first.every((r) => r.ok), `${first.length} results`);
    equal((await rejection(client.batch(prompts, { budget: { ms: -1 } }), 'no time')).code, 'E_RANGE', 'code');
  }),

  'a stream with a budget goes on in another': (t) => withClient(t, {}, async (client) => {
    const prompts = numbered(30, 'in part');
    const source = async function* () {
      for (const prompt of prompts) yield prompt;
    };
    const read = async (options, taken = []) => {
      const stream = client.stream(source(), { highWater: 4, ...options });
      for await (const result of stream) taken.push(result);
      return { taken, state: stream.state };
    };
    const first = await read({ budget: { requests: 10 } });
    equal([first.taken.length, first.state instanceof Uint8Array], [10, true], 'results and state');
    const rest = await read({ state: first.state });
    equal([rest.taken.length, rest.state], [30, undefined], 'results and state');
    equal(rest.taken.sort((a, b) => a.index - b.index).map((r) => r.text), echoes(prompts), 'texts');
    const broken = client.stream(source(), { budget: { requests: 10 } });
    for await (const result of broken) {
      ok(result.ok, 'one');
      break;
    }
    equal((await rejection(read({ state: new Uint8Array(9) }), 'no state')).code, 'E_CORRUPT', 'code');
  }),

  'the command\'s own lines are kept where asked for': (t) => withClient(t, { keepLine: true }, async (client) => {
    await client.submit('before, so that the numbers of rows differ from the places');
    const results = await client.batch(['with a line', { prompt: 'and this', customId: 'mine' }]);
    const lines = results.map(({ line }) => JSON.parse(line));
    equal(lines.map(({ id, sheaf }) => [id, sheaf.index, sheaf.text]), results.map(({ index, text }) => [`req_${index}`, index, text]), 'lines');
    equal([lines[1].custom_id, lines[1].sheaf.fingerprint], ['mine', results[1].fingerprint], 'whose they are');
  }),

  'a fetch of your own is used': (t) => {
    const own = counting();
    return withClient(t, { fetch: own }, async (client) => {
      equal((await client.batch(numbered(3, 'fetched'))).stats.succeeded, 3, 'well');
      equal(own.calls, 3, 'calls');
    });
  },

  ...queueCases,
  ...jobCases,
};

/** Runs them one after the other. `only`: a part of the name. */
export async function run(sheaf, world, only = '') {
  const outcomes = [];
  for (const [name, act] of Object.entries(cases)) {
    if (!name.includes(only)) continue;
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error('it did not end')), 30000)));
    const started = performance.now();
    try {
      await Promise.race([act({ ...world, sheaf }), late]);
      outcomes.push({ name, ms: performance.now() - started });
    } catch (error) {
      outcomes.push({ name, ms: performance.now() - started, error: `${error?.name}: ${error?.message}` });
    }
    clearTimeout(timer);
  }
  return outcomes;
}
