// figures.ts: the figures of one batch, made from its results.

import type { BatchResults, Result, RunStats } from './types.js';

function quantile(sorted: Float64Array, share: number): number {
  return sorted.length === 0 ? 0 : (sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] as number);
}

export function withFigures(results: Result[], wallMs: number): BatchResults {
  const failures: Result[] = [];
  const stats: RunStats = {
    total: results.length, succeeded: 0, failed: 0, attempts: 0, throttles: 0, inputTokens: 0, outputTokens: 0, cost: 0,
    costMissing: 0, wallMs, latencyP50Ms: 0, latencyP95Ms: 0,
  };
  const latencies = new Float64Array(results.length);
  for (const result of results) {
    if (result.ok) latencies[stats.succeeded++] = result.latencyMs;
    else failures.push(result);
    stats.attempts += result.attempts;
    stats.throttles += result.throttles;
    stats.inputTokens += result.usage.inputTokens ?? 0;
    stats.outputTokens += result.usage.outputTokens ?? 0;
    stats.cost += result.cost ?? 0;
    if (result.attempted && result.cost === undefined) stats.costMissing++;
  }
  stats.failed = failures.length;
  const sorted = latencies.subarray(0, stats.succeeded).sort();
  stats.latencyP50Ms = quantile(sorted, 0.5);
  stats.latencyP95Ms = quantile(sorted, 0.95);
  return Object.defineProperties(results, {
    failures: { value: failures },
    stats: { value: stats },
  }) as BatchResults;
}
