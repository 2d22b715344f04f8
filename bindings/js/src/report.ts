// report.ts: figures now and then, for people or for programs.

import { blame } from './errors.js';

/** Figures as `client.metrics()` answers them, and whether they are the last ones. */
export type Reporter = (metrics: Record<string, unknown>, isLast: boolean) => void;

export interface ReportOptions {
  /** 10 000 without it. */
  intervalMs?: number;
  /** `consoleReporter()` without it. */
  reporter?: Reporter;
}

/** A line for people: what is done, what runs, what holds it back. */
export function consoleReporter(write: (line: string) => void = (line) => console.error(line)): Reporter {
  return (metrics) => write(statusLine(metrics));
}

/** One JSON object a line, with the time. */
export function jsonLinesReporter(write: (line: string) => void): Reporter {
  return (metrics, isLast) => write(JSON.stringify({ at: new Date().toISOString(), last: isLast, ...metrics }));
}

function statusLine(metrics: Record<string, unknown>): string {
  const number = (name: string): number => Number(metrics[name] ?? 0);
  const some = (name: string, what: string): string => (number(name) ? `, ${number(name)} ${what}` : '');
  const limit = metrics['paused'] ? 'paused' : String(metrics['limited_by']);
  const cost = metrics['cost_usd'] === null ? '' : `, $${number('cost_usd').toFixed(4)}`;
  return `sheaf: ${number('succeeded') + number('failed')} done${some('failed', 'failed')}, ${number('in_flight')} running, ` +
    `${number('queued') + number('waiting_retry')} waiting (${limit}), ${number('items_per_s').toFixed(1)}/s` +
    `${some('groups', 'groups')}${some('deduplicated', 'deduplicated')}${some('cache_hits', 'cached')}` +
    `${some('answered_locally', 'local')}${cost}`;
}

/** Calls a reporter in intervals, which keep no process alive. @internal */
export class Reports {
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: ReportOptions, private readonly metrics: () => Record<string, unknown>) {}

  start(): void {
    this.timer = setInterval(() => this.report(false), this.options.intervalMs ?? 10_000);
    (this.timer as { unref?(): void }).unref?.();
  }

  /** Once more, and no more. */
  stop(): void {
    if (this.timer === undefined) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.report(true);
  }

  private report(isLast: boolean): void {
    try {
      (this.options.reporter ?? (defaultReporter ??= consoleReporter()))(this.metrics(), isLast);
    } catch (error) {
      blame(error);
    }
  }
}

let defaultReporter: Reporter | undefined;
