// run.js: one run: requests handed to the client, what becomes of each watched over its transport, pause and cancel.
//
//   waiting -> in flight -> (streaming) -> done
//                 |             |------> failed
//                 `-- retrying -'

import { createClient } from './sheaf/browser.js';

export const State = { waiting: 0, flight: 1, streaming: 2, retrying: 3, done: 4, failed: 5, cancelled: 6 };
export const states = [
  { key: 'waiting', name: 'Waiting' }, { key: 'flight', name: 'In flight' }, { key: 'streaming', name: 'Streaming' },
  { key: 'retrying', name: 'Retrying' }, { key: 'done', name: 'Done' }, { key: 'failed', name: 'Failed' },
  { key: 'cancelled', name: 'Cancelled' },
];

/** Handed over at once: enough for any concurrency, and few to take back when the run pauses. */
const aheadMax = 1000;

export class Run {
  /** ready, running, paused, cancelling, over */
  phase = 'ready';
  started = performance.now();
  ended = 0;
  counts = [0, 0, 0, 0, 0, 0, 0];
  succeeded = { inputTokens: 0, outputTokens: 0 };
  /** Tries beyond the first of each request. */
  extraTries = 0;
  cost = 0;
  costMissing = 0;
  latencies = [];
  /** In the order of their ends: { at, latencyMs, ok }. */
  ends = [];
  /** Grows with every change, so that views know when to draw. */
  version = 0;

  /** One that only shows what waits, until it is started. */
  constructor(rows, settings = {}) {
    this.rows = rows;
    this.isStreaming = settings.isStreaming;
    this.transport = settings.transport;
    const count = rows.length;
    this.state = new Uint8Array(count);
    this.changed = new Float64Array(count).fill(-Infinity);
    this.attempts = new Uint32Array(count);
    this.texts = new Array(count).fill('');
    this.results = new Array(count);
    this.queue = rows.map((_, i) => i);
    this.live = new Map();
    this.held = new Set();
    this.counts[State.waiting] = count;
    this.over = new Promise((resolve) => (this.end = resolve));
  }

  /** Opens the client, which says what is wrong with the options before anything is sent. */
  static async start(rows, settings) {
    const run = new Run(rows, settings);
    run.client = await createClient({ ...settings.client, queueCapacity: aheadMax, keepLine: true, onEvent: settings.onNotice });
    run.started = performance.now();
    run.phase = 'running';
    run.pump();
    return run;
  }

  // ---- Requests in, results out ----

  pump() {
    while (this.phase === 'running' && this.live.size < aheadMax && this.queue.length > 0) this.submit(this.queue.shift());
    if (this.live.size === 0 && (this.phase === 'cancelling' || this.queue.length === 0)) this.finish();
  }

  submit(i) {
    const abort = new AbortController();
    this.live.set(i, abort);
    const options = { signal: abort.signal, transport: this.watching(i) };
    if (this.isStreaming) {
      options.onToken = ({ text }) => {
        this.texts[i] += text;
        this.set(i, State.streaming);
      };
      options.onDiscard = () => (this.texts[i] = '');
    }
    this.client.submit(this.rows[i].request, options).then((result) => this.take(i, result), (error) => this.take(i, unreadable(error)));
  }

  /** The run's transport, with an eye on one request. */
  watching(i) {
    const left = (attempt) => {
      if (this.attempts[i] !== attempt) return;
      if (this.state[i] === State.flight || this.state[i] === State.streaming) this.set(i, State.retrying);
    };
    return {
      start: (exchange, reply) => {
        const attempt = ++this.attempts[i];
        let isGood = false;
        this.set(i, State.flight);
        this.transport.start(exchange, {
          head: (status, headers) => {
            isGood = status < 400;
            reply.head(status, headers);
          },
          data: (bytes) => reply.data(bytes),
          end: () => {
            reply.end();
            if (!isGood) left(attempt);
          },
          fail: (how, message, retryable) => {
            reply.fail(how, message, retryable);
            left(attempt);
          },
        });
      },
      cancel: (exchange) => {
        this.transport.cancel?.(exchange);
        left(this.attempts[i]);
      },
    };
  }

  take(i, result) {
    this.live.delete(i);
    if (this.held.delete(i) && result.error?.class === 'cancelled' && !result.attempted && this.phase !== 'cancelling') {
      this.queue.push(i);
      this.pump();
      return;
    }
    result.index = i;
    result.line = placed(result.line, i);
    this.results[i] = result;
    this.texts[i] = result.text;
    this.extraTries += Math.max(0, result.attempts - 1);
    if (result.ok) {
      this.succeeded.inputTokens += result.usage.inputTokens ?? 0;
      this.succeeded.outputTokens += result.usage.outputTokens ?? 0;
      this.latencies.push(result.latencyMs);
    }
    if (result.cost !== undefined) this.cost += result.cost;
    else if (result.attempted) this.costMissing++;
    const isCancelled = result.error?.class === 'cancelled';
    if (!isCancelled) this.ends.push({ at: performance.now() - this.started, latencyMs: result.latencyMs, ok: result.ok });
    this.set(i, result.ok ? State.done : isCancelled ? State.cancelled : State.failed);
    this.pump();
  }

  set(i, state) {
    this.version++;
    if (this.state[i] === state) return;
    this.counts[this.state[i]]--;
    this.counts[state]++;
    this.state[i] = state;
    this.changed[i] = performance.now();
  }

  // ---- What the person at the page may do ----

  /** Nothing new starts. What was started ends as it would; what was only handed over comes back. */
  pause() {
    if (this.phase !== 'running') return;
    this.phase = 'paused';
    this.version++;
    for (const [i, abort] of this.live) {
      if (this.attempts[i] > 0) continue;
      this.held.add(i);
      abort.abort();
    }
  }

  resume() {
    if (this.phase !== 'paused') return;
    this.phase = 'running';
    this.version++;
    this.queue.sort((a, b) => a - b);
    this.pump();
  }

  cancel() {
    if (this.phase === 'over' || this.phase === 'cancelling') return;
    this.phase = 'cancelling';
    for (const abort of this.live.values()) abort.abort();
    for (const i of this.queue.splice(0)) this.set(i, State.cancelled);
    this.pump();
  }

  async finish() {
    if (this.phase === 'over') return;
    this.phase = 'over';
    this.ended = performance.now();
    this.version++;
    await this.client.close();
    this.end(this);
  }

  // ---- Figures ----

  get total() {
    return this.rows.length;
  }

  get finished() {
    return this.counts[State.done] + this.counts[State.failed] + this.counts[State.cancelled];
  }

  get inFlight() {
    return this.counts[State.flight] + this.counts[State.streaming];
  }

  get elapsedMs() {
    return this.phase === 'ready' ? 0 : (this.ended || performance.now()) - this.started;
  }
}

/** The line of a request that was handed over alone, at its place in the list. */
function placed(line, i) {
  return line?.replace('"id":"req_0"', `"id":"req_${i}"`).replace(',"sheaf":{"index":0,"fingerprint":', `,"sheaf":{"index":${i},"fingerprint":`);
}

/** A request that the client refuses to take ends like any other. */
function unreadable(error) {
  return {
    ok: false, text: '', usage: {}, latencyMs: 0, attempts: 0, throttles: 0, attempted: false,
    error: { class: 'invalid_request', code: error.code ?? '', status: 0, message: error.message, retryable: false },
  };
}
