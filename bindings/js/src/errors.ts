// errors.ts: what the package throws, and the error inside a result.

import type { BatchResults } from './types.js';

/** Wrong options, a closed client, a request that cannot be read: nothing was sent. */
export class SheafError extends Error {
  override name = 'SheafError';
  /** `code`: E_FIELD, E_RANGE, ... `field`: the option or member concerned, where there is one. */
  constructor(message: string, readonly code: string, readonly field?: string) {
    super(message);
  }
}

/** Every request of a batch failed. The results say why, one by one. */
export class SheafBatchError extends SheafError {
  override name = 'SheafBatchError';
  constructor(readonly results: BatchResults) {
    const first = results[0]?.error;
    super(
      `all ${results.length} requests failed` + (first ? `; the first: ${first.message} (${first.class})` : ''),
      'E_ALL_FAILED',
    );
  }
}

/** Reports what somebody's callback threw, as one's own event handlers would: not here, where it would stop others' work. */
export function blame(error: unknown): void {
  const { reportError } = globalThis as { reportError?: (error: unknown) => void };
  if (typeof reportError === 'function') reportError(error);
  else
    queueMicrotask(() => {
      throw error;
    });
}
