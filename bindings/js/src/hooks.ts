// hooks.ts: what a user puts into the way of a request: before the core sees it, and after it failed for good.

import { blame } from './errors.js';
import { prepare, type Prepared } from './options.js';
import type { ClientOptions, MaybePromise, Request, RequestOptions, Result, SubmitOptions } from './types.js';

/** What is to become of a request: it goes in, has its result already, or cannot be read. */
export type Intake =
  | { request: Request; prepared: Prepared }
  | { request: Request; result: (index: number) => Result }
  | { request: Request; error: unknown };

export class Hooks {
  /** Answered here, for the figures. */
  answered = 0;
  private busy = 0;
  private idle: (() => void)[] = [];

  constructor(private readonly options: Pick<ClientOptions, 'preprocess' | 'fallback'>) {}

  get hasFallback(): boolean {
    return this.options.fallback !== undefined;
  }

  get hasPreprocess(): boolean {
    return this.options.preprocess !== undefined;
  }

  /** At once where `preprocess` answers at once. What it throws refuses the request, and no other. */
  take(request: Request, more?: SubmitOptions): MaybePromise<Intake> {
    const { preprocess } = this.options;
    if (!preprocess) return readable(request, more);
    const refused = (error: unknown): Intake => ({ request, result: (index) => failed(request, index, error) });
    const taken = (outcome: Request | { answer: string }): Intake => {
      if (!isAnswer(outcome)) return readable(outcome, more);
      this.answered++;
      return { request, result: (index) => answered(request, index, outcome.answer) };
    };
    try {
      const outcome = preprocess(request);
      return outcome instanceof Promise ? this.during(outcome).then(taken, refused) : taken(outcome);
    } catch (error) {
      return refused(error);
    }
  }

  /** Ends a result, after `fallback` had its say where that is asked. */
  settle(request: Request, result: Result, done: (result: Result) => void): void {
    const { fallback } = this.options;
    if (!fallback || result.ok || result.error?.class === 'cancelled') {
      done(result);
      return;
    }
    const take = (text: string | undefined | void): void => {
      if (typeof text === 'string') {
        this.answered++;
        Object.assign(result, { ok: true, text, local: true });
        delete result.error;
      }
      done(result);
    };
    const threw = (error: unknown): void => {
      blame(error);
      done(result);
    };
    let outcome: ReturnType<typeof fallback>;
    try {
      outcome = fallback(request, result);
    } catch (error) {
      threw(error);
      return;
    }
    if (outcome instanceof Promise) this.during(outcome).then(take, threw);
    else take(outcome);
  }

  private during<Value>(promise: Promise<Value>): Promise<Value> {
    this.busy++;
    return promise.finally(() => {
      // Those that wait for it go first.
      if (--this.busy === 0) setTimeout(() => this.rest());
    });
  }

  private rest(): void {
    if (this.busy === 0) for (const done of this.idle.splice(0)) done();
  }

  get isBusy(): boolean {
    return this.busy > 0;
  }

  whenIdle(): Promise<void> {
    if (this.busy === 0) return Promise.resolve();
    return new Promise((resolve) => this.idle.push(resolve));
  }
}

function readable(request: Request, more: SubmitOptions | undefined): Intake {
  try {
    return { request, prepared: prepare(request, more) };
  } catch (error) {
    return { request, error };
  }
}

function isAnswer(outcome: Request | { answer: string }): outcome is { answer: string } {
  return typeof outcome === 'object' && typeof (outcome as { answer?: unknown }).answer === 'string' && Object.keys(outcome).length === 1;
}

/** A row that never reached the core. */
function outside(request: Request, index: number): Result {
  const { customId = `row-${index + 1}`, metadata } = typeof request === 'string' ? {} : (request as RequestOptions);
  return {
    customId, ...(metadata === undefined ? {} : { metadata }), index, ok: false, text: '', toolCalls: [], finishReason: '', model: '',
    usage: {}, latencyMs: 0, queueMs: 0, totalMs: 0, attempts: 0, throttles: 0, billing: 'not_sent', resentUnknown: false,
    attempted: false, requestId: '', provider: '', endpoint: '', fingerprint: '', deduplicated: false, cached: false, local: false,
  };
}

export function cancelled(request: Request, index: number): Result {
  const message = 'the run was aborted before this was sent';
  return { ...outside(request, index), error: { class: 'cancelled', code: '', status: 0, message, retryable: true } };
}

function failed(request: Request, index: number, error: unknown): Result {
  const message = `preprocess: ${(error as Error | undefined)?.message ?? String(error)}`;
  return { ...outside(request, index), error: { class: 'invalid_request', code: '', status: 0, message, retryable: false } };
}

function answered(request: Request, index: number, text: string): Result {
  return { ...outside(request, index), ok: true, text, local: true };
}
