// http.ts: what the transports of Node have in common: a guarded start, targets kept by their headers, lines of a flat list
// of headers, and the change from one transport to a better one.

import { type Direct, direct, type Exchange, failureOf, isRead, type Transport } from './transport.js';

const cancel = (exchange: Exchange): void => ((exchange as Direct).handle as { destroy?(): void } | undefined)?.destroy?.();

/** A transport of `Direct`: what `start` throws is a request that cannot be sent, and `handle.destroy` cancels. */
export function guarded(start: (exchange: Direct) => void, close: () => void | Promise<void>): Transport {
  return direct({
    start(exchange, reply) {
      try {
        start(exchange as Direct);
      } catch (error) {
        reply.fail('refused', failureOf(error).message, false);
      }
    },
    cancel,
    close,
  });
}

/** Equal headers are the same array: what is made of them and the address is kept. */
export function targetsOf<Target extends { url: string }>(make: (exchange: Exchange, url: URL) => Target): (exchange: Exchange) => Target {
  const targets = new WeakMap<object, Target>();
  return (exchange) => {
    let target = targets.get(exchange.headers);
    if (target?.url !== exchange.url) targets.set(exchange.headers, (target = make(exchange, new URL(exchange.url))));
    return target;
  };
}

/** "name: value" lines of a flat list of names and values. */
export function rawLines(raw: readonly string[]): string {
  let lines = '';
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    if (isRead(name)) lines += `${name}: ${raw[i + 1] as string}\n`;
  }
  return lines;
}

/** Begins with one transport, and goes on with a better one that takes long to load once that many were started. */
export function later(first: Transport, count: number, load: () => Promise<Transport | undefined>): Transport {
  let current = first, started = 0, isClosed = false;
  const change = (better: Transport | undefined): void => {
    if (better && isClosed) void better.close?.();
    else if (better) current = better;
  };
  return direct({
    start(exchange, reply) {
      if (++started === count) load().then(change, () => {});
      current.start(exchange, reply);
    },
    cancel,
    async close() {
      isClosed = true;
      await Promise.all([first.close?.(), current === first ? undefined : current.close?.()]);
    },
  });
}
