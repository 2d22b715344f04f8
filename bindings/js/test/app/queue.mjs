// queue.mjs: cases of the queue: calls that several requests share, twins, priorities, pausing and stopping, hooks, figures.

import { atLeast, atMost, counting, echo, echoes, equal, numbered, ok, rejection, sleep, textOf, withClient } from './checks.mjs';

/** Singles that wait 30 ms for company. */
const gathering = { window: 'fixed', windowMs: 30, concurrency: 4 };
const all = (client, requests, options) => Promise.all(requests.map((request) => client.submit(request, options)));

export const queueCases = {
  'embeddings asked for one by one share calls': (t) => {
    const own = counting(), groups = [], events = [];
    const options = { ...gathering, fetch: own, keepBody: true, onGroup: (event) => groups.push(event), onEvent: (event) => events.push(event) };
    return withClient(t, options, async (client) => {
      const before = Date.now();
      const results = await all(client, numbered(60, 'vector of').map((input) => ({ url: '/v1/embeddings', model: 'embed-1', input })));
      ok(results.every((result) => result.ok), 'all went well');
      atMost(own.calls, 3, 'calls');
      equal(results.map((result) => result.groupMembers > 1), results.map(() => true), 'their groups');
      const vectors = results.map((result) => JSON.parse(textOf(result.body)).data);
      ok(vectors.every((data) => data.length === 1 && data[0].index === 0), 'each has its own vector alone');
      equal(new Set(vectors.map(([{ embedding }]) => embedding.join())).size, 60, 'different vectors');
      const { groups: count, grouped } = client.metrics();
      equal([count, grouped], [own.calls, 60], 'figures');

      const first = groups.filter(({ id }) => id === groups[0].id);
      equal(first[0].state, 'accumulating', 'first state');
      equal(first.at(-1).state, 'completed', 'last state');
      ok(first.every(({ at }, i) => i === 0 || at >= first[i - 1].at), 'times go up');
      atLeast(first[0].at, before - 1000, 'the first time');
      equal(events.length, groups.length, 'events');
      ok(events.every(({ type }) => type === 'group'), 'their type');
    });
  },

  'prompts of one trust key share a call, and come apart again': (t) => {
    const own = counting();
    return withClient(t, { ...gathering, fetch: own, merge: 'prompts', canaryPct: 0 }, async (client) => {
      const prompts = numbered(8, 'question');
      const results = await all(client, prompts.map((prompt) => ({ prompt, maxTokens: 200, trustKey: 'a' })));
      equal(results.map((result) => result.text), echoes(prompts), 'texts');
      equal([own.calls, results[0].groupMembers], [1, 8], 'calls and members');
      const apart = await all(client, ['a', 'b'].map((trustKey) => ({ prompt: 'of two keys', maxTokens: 50, trustKey, customId: trustKey })));
      equal(apart.map((result) => [result.ok, result.group]), [[true, undefined], [true, undefined]], 'keys do not mix');
    });
  },

  'a merged reply that does not come apart is asked for one by one': (t) => {
    const bodies = [];
    const spoiling = (url, options) => {
      bodies.push(textOf(options.body));
      if (bodies.length > 1) return fetch(url, options);
      const message = { role: 'assistant', content: 'nothing of what was asked for' };
      const reply = { id: 'x', model: 'sim-1', choices: [{ index: 0, message, finish_reason: 'stop' }] };
      return Promise.resolve(new Response(JSON.stringify(reply), { headers: { 'content-type': 'application/json' } }));
    };
    return withClient(t, { ...gathering, fetch: spoiling, merge: 'prompts', canaryPct: 0 }, async (client) => {
      const prompts = numbered(4, 'spoilt');
      const results = await all(client, prompts.map((prompt) => ({ prompt, maxTokens: 100 })));
      equal(results.map((result) => result.text), echoes(prompts), 'texts');
      ok(prompts.every((prompt) => bodies[0].includes(prompt)), 'the first call held them all');
      equal([bodies.length, client.metrics().merge_fallbacks], [5, 4], 'calls, and members asked alone');
    });
  },

  'twins share one call': (t) => {
    const own = counting();
    return withClient(t, { fetch: own }, async (client) => {
      const cold = await all(client, Array(5).fill({ prompt: 'the same, cold', temperature: 0 }));
      equal([own.calls, cold.filter((result) => result.deduplicated).length], [1, 4], 'calls and twins');
      equal(cold.map((result) => result.text), Array(5).fill(echo('the same, cold')), 'texts');
      await all(client, Array(3).fill('the same, warm'));
      equal(own.calls, 4, 'calls, where answers may differ');
      await all(client, Array(3).fill('the same, as told'), { dedup: true });
      equal(own.calls, 5, 'calls, where they are said not to');
      await all(client, Array(3).fill({ prompt: 'each alone', temperature: 0, dedup: false }));
      equal(own.calls, 8, 'calls of those that want their own');
      equal(client.metrics().deduplicated, 6, 'figure');
    });
  },

  'answers are kept where asked for': (t) => {
    const own = counting();
    return withClient(t, { fetch: own, cacheEntries: 10 }, async (client) => {
      const request = { prompt: 'to be kept', temperature: 0 };
      equal([(await client.submit(request)).cached, (await client.submit(request)).cached], [false, true], 'cached');
      equal([own.calls, client.metrics().cache_hits], [1, 1], 'calls and hits');
    });
  },

  'what is urgent goes first, pausing holds all back': (t) => withClient(t, { concurrency: 1 }, async (client) => {
    client.pause();
    const order = [];
    const running = [
      client.submitBackground('in the background').then(() => order.push('background')),
      client.submit('as usual').then(() => order.push('usual')),
      client.submit('high', { priority: 'high' }).then(() => order.push('high')),
      client.submitUrgent({ prompt: 'urgent', priority: 'low' }).then(() => order.push('urgent')),
    ];
    await sleep(40);
    equal([order, client.status().state, client.status().waiting, client.healthy()], [[], 'paused', 4, false], 'while paused');
    client.resume();
    await Promise.all(running);
    equal(order, ['urgent', 'high', 'usual', 'background'], 'order');
    const { state, healthy, inFlight, waiting } = client.status();
    equal([state, healthy, inFlight, waiting], ['running', true, 0, 0], 'status');
  }),

  'stopping lets what is inside end, and it runs again': (t) => withClient(t, { concurrency: 2, queueCapacity: 5 }, async (client) => {
    const running = client.batch(numbered(20, 'while stopping'));
    const single = client.submit('one of its own');
    await sleep(1);
    await client.stop();
    equal([(await running).stats.succeeded, (await single).ok, client.status().state], [20, true, 'stopped'], 'what was inside');
    equal((await rejection(client.submit('late'), 'a request')).code, 'E_END', 'code');
    client.set('concurrency', 1);
    await client.start();
    equal((await rejection(client.start(), 'a second start')).code, 'E_MISUSE', 'code');
    equal((await client.submit('once more')).text, echo('once more'), 'text');
    equal(client.metrics().admitted, 1, 'figures begin anew');
    await client.stop();
    await client.stop(0);
  }),

  'stopping at once cancels, and every request has its result': (t) => withClient(t, { baseURL: `${t.slowUrl}/v1`, concurrency: 2 }, async (client) => {
    const started = performance.now();
    const results = client.batch(numbered(6, `a long one ${'word '.repeat(400)}`), { onToken: () => {} }).catch((error) => error.results);
    const stopped = client.stop();
    await sleep(20);
    await Promise.all([stopped, client.stop(0)]);
    const ended = await results;
    equal(ended.length, 6, 'results');
    ok(ended.every((result) => result.error?.class === 'cancelled'), 'all are cancelled');
    atMost(performance.now() - started, 8000, 'ms');
  }),

  'a stream ends when the client stops': (t) => withClient(t, {}, async (client) => {
    const endless = function* () {
      for (let i = 0; ; i++) yield `endless ${i}`;
    };
    let count = 0;
    for await (const result of client.stream(endless())) {
      ok(result.ok, 'it went well');
      if (++count === 20) void client.stop();
    }
    atLeast(count, 20, 'results');
  }),

  'a full queue refuses, or is waited for': async (t) => {
    await withClient(t, { queueCapacity: 2, onFull: 'reject' }, async (client) => {
      client.pause();
      const inside = [client.submit('first'), client.submit('second')];
      equal((await rejection(client.submit('third'), 'the third')).code, 'E_FULL', 'code');
      equal(client.healthy(), false, 'healthy');
      client.resume();
      equal((await Promise.all(inside)).map((result) => result.ok), [true, true], 'the others');
    });
    await withClient(t, { queueCapacity: 2, fullWaitMs: 40 }, async (client) => {
      client.pause();
      const inside = all(client, ['first of four', 'second of four']);
      equal((await rejection(client.submit('too late'), 'the third')).code, 'E_FULL', 'code');
      client.resume();
      equal((await inside).map((result) => result.ok), [true, true], 'the others');
    });
    await withClient(t, { queueCapacity: 2, fullWaitMs: 20000 }, async (client) => {
      client.pause();
      const inside = all(client, ['first of three', 'second of three', 'third of three']);
      await sleep(20);
      client.resume();
      equal((await inside).map((result) => result.ok), [true, true, true], 'in time');
    });
  },

  'requests can be changed, answered or refused before they go': async (t) => {
    const own = counting();
    const choose = (request) => {
      const text = typeof request === 'string' ? request : request.prompt;
      if (text.includes('known')) return { answer: 'as we know' };
      if (text.includes('forbidden')) throw new Error('not this');
      return `please: ${text}`;
    };
    for (const preprocess of [choose, async (request) => sleep(1).then(() => choose(request))])
      await withClient(t, { fetch: own, preprocess }, async (client) => {
        const asked = ['one', 'known', 'forbidden', { prompt: 'two', customId: 'mine' }];
        const look = (results) => results.map((result) => [result.ok, result.text, result.local, result.error?.class]);
        const expected = [
          [true, echo('please: one'), false, null], [true, 'as we know', true, null], [false, '', false, 'invalid_request'],
          [true, echo('please: two'), false, null],
        ];
        own.calls = 0;
        equal(look(await client.batch(asked)), expected, 'a list');
        const streamed = [];
        for await (const result of client.stream(asked)) streamed.push(result);
        equal(look(streamed.sort((a, b) => a.index - b.index)), expected, 'a stream');
        equal(look(await all(client, asked)), expected, 'one by one');
        equal([own.calls, client.metrics().answered_locally], [6, 3], 'calls, and local answers');
        ok(client.metrics('openmetrics').includes('sheaf_answered_locally_total 3\n'), 'as text');
        equal((await rejection(client.batch(asked, { budget: { requests: 1 } }), 'a budget')).code, 'E_UNSUPPORTED', 'code');
      });
  },

  'failures can be answered all the same': async (t) => {
    const answer = (request, failed) => (failed.error.class === 'server' ? `instead of ${request.prompt ?? request}` : undefined);
    for (const fallback of [answer, async (...given) => sleep(1).then(() => answer(...given))])
      await withClient(t, { maxRetries: 0, fallback }, async (client) => {
        const results = await client.batch(['fine', 'always broken', { prompt: 'nowhere', model: 'no-such-model' }]);
        equal(results.map((result) => [result.ok, result.text, result.local]),
          [[true, echo('fine'), false], [true, 'instead of always broken', true], [false, '', false]], 'results');
        equal([results[1].error, results.failures.length], [undefined, 1], 'its error, and failures');
        const single = await client.submit({ prompt: 'always broken, too' });
        equal([single.ok, single.text], [true, 'instead of always broken, too'], 'one by itself');
      });
  },

  'options change while it runs': (t) => withClient(t, { concurrency: 1 }, async (client) => {
    client.set('concurrency', 3);
    client.set('onBreaker', 'fail');
    client.set('mergeFailurePct', '30');
    const progress = [];
    await client.batch(numbered(12, 'faster'), { onProgress: ({ inFlight }) => progress.push(inFlight), progressMs: 0 });
    atLeast(Math.max(...progress), 2, 'in flight');
    for (const [name, value, code] of [['concurency', 3, 'E_NOT_FOUND'], ['concurrency', -1, 'E_RANGE'], ['onBreaker', 'perhaps', 'E_RANGE']]) {
      let error;
      try {
        client.set(name, value);
      } catch (thrown) {
        error = thrown;
      }
      equal(error?.code, code, name);
    }
  }),

  'figures are reported, and begin anew when told': async (t) => {
    const reports = [], lines = [], words = [];
    const json = t.sheaf.jsonLinesReporter((line) => lines.push(JSON.parse(line))), people = t.sheaf.consoleReporter((line) => words.push(line));
    const reporter = (metrics, isLast) => {
      reports.push(isLast);
      json(metrics, isLast);
      people(metrics, isLast);
    };
    await withClient(t, { report: { intervalMs: 20, reporter } }, async (client) => {
      await client.batch(numbered(3, 'reported'));
      await sleep(70);
      equal(client.metrics().succeeded, 3, 'succeeded');
      client.resetMetrics();
      equal([client.metrics().succeeded, client.metrics().attempts], [0, 0], 'after the reset');
      await client.submit('after it');
    });
    atLeast(reports.length, 3, 'reports');
    equal(reports.map(Boolean), reports.map((_, i) => i === reports.length - 1), 'the last one');
    equal([lines[0].last, lines.at(-1).last, lines.at(-1).succeeded], [false, true, 1], 'lines');
    ok(!Number.isNaN(Date.parse(lines[0].at)), 'their time');
    ok(/^sheaf: 3 done, 0 running, 0 waiting \(\w+\), [\d.]+\/s/.test(words.find((line) => line.includes('3 done')) ?? ''), `words: ${words[0]}`);
  },
};
