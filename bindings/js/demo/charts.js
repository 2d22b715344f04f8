// charts.js: two charts over the time of the run: what was finished a second, with the requests in flight over it; and the
// latency of each request, with median and 95th centile.

import { colours, fitted, onTheme } from './cells.js';
import { State } from './run.js';

const height = 190, margin = { left: 46, right: 38, top: 12, bottom: 22 };
const barsMax = 60;

/** A round number that is not below, and the step of its ticks. */
function rounded(value, ticks = 4) {
  const rough = Math.max(value, 1e-9) / ticks, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  return { top: Math.ceil(value / step) * step || step, step };
}

export function quantile(sorted, share) {
  return sorted.length === 0 ? undefined : sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
}

export function duration(ms) {
  if (ms === undefined) return '–';
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`;
}

const seconds = (ms) => (ms < 120000 ? `${Number((ms / 1000).toFixed(1))} s` : `${Number((ms / 60000).toFixed(1))} min`);

/** The frame of a chart: grid lines, ticks, and how numbers become places. */
function axes(context, width, palette, spanMs, top, format) {
  const right = width - margin.right, bottom = height - margin.bottom;
  const x = (ms) => margin.left + (ms / spanMs) * (right - margin.left);
  const y = (value) => bottom - (value / top.top) * (bottom - margin.top);
  context.font = '11px system-ui, sans-serif';
  context.lineWidth = 1;
  context.strokeStyle = palette.line;
  context.fillStyle = palette.soft;
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  for (let value = 0; value <= top.top * 1.001; value += top.step) {
    const at = Math.round(y(value)) + 0.5;
    context.beginPath();
    context.moveTo(margin.left, at);
    context.lineTo(right, at);
    context.stroke();
    context.fillText(format(value), margin.left - 7, at);
  }
  const along = rounded(spanMs, Math.max(2, Math.floor(width / 130)));
  context.textAlign = 'center';
  for (let ms = 0; ms <= spanMs * 1.001; ms += along.step) context.fillText(ms === 0 ? '0' : seconds(ms), x(ms), bottom + 13);
  return { x, y, right, bottom };
}

/** Redraws at most five times a second. */
function chart(canvas, paint) {
  let run, palette = colours(), last = 0, drawn = -1;
  const draw = () => {
    const width = canvas.parentElement.clientWidth - 2 * parseFloat(getComputedStyle(canvas.parentElement).paddingLeft);
    canvas.style.height = `${height}px`;
    const context = fitted(canvas, width, height);
    if (context) paint(context, width, palette, run);
    last = performance.now();
    drawn = run?.version ?? -1;
  };
  new ResizeObserver(draw).observe(canvas.parentElement);
  onTheme(() => {
    palette = colours();
    draw();
  });
  return {
    show(next) {
      run = next;
      draw();
    },
    frame(isLast) {
      if (!run || (!isLast && (run.version === drawn || performance.now() - last < 200))) return;
      draw();
    },
  };
}

// ---- Throughput ----

/** Seconds in round numbers, so that there are never more than `barsMax` bars. */
function barMs(spanMs) {
  return [250, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 300000].find((ms) => spanMs / ms <= barsMax) ?? 600000;
}

export function throughputChart(canvas) {
  let samples = [], sampled;
  const paint = (context, width, palette, run) => {
    const spanMs = Math.max(run?.elapsedMs ?? 0, 5000), bar = barMs(spanMs);
    const bars = Array.from({ length: Math.ceil(spanMs / bar) }, () => ({ ok: 0, failed: 0 }));
    for (const { at, ok } of run?.ends ?? []) {
      const one = bars[Math.min(bars.length - 1, Math.floor(at / bar))];
      if (ok) one.ok++;
      else one.failed++;
    }
    const perSecond = 1000 / bar;
    const top = rounded(Math.max(4, ...bars.map(({ ok, failed }) => (ok + failed) * perSecond)));
    const { x, y, right, bottom } = axes(context, width, palette, spanMs, top, (value) => String(Number(value.toFixed(1))));
    bars.forEach(({ ok, failed }, i) => {
      const left = x(i * bar) + 0.75, wide = Math.max(1, Math.min(x((i + 1) * bar), right) - left - 0.75);
      const high = (value) => bottom - y(value * perSecond);
      context.fillStyle = palette.states[State.done];
      context.beginPath();
      if (ok > 0) context.roundRect(left, bottom - high(ok), wide, high(ok), [2, 2, 0, 0]);
      context.fill();
      context.fillStyle = palette.states[State.failed];
      if (failed > 0) context.fillRect(left, bottom - high(ok) - high(failed) - 1, wide, high(failed));
    });
    paintInFlight(context, palette, x, right, bottom);
  };
  const paintInFlight = (context, palette, x, right, bottom) => {
    const most = rounded(Math.max(4, ...samples.map(({ inFlight }) => inFlight)), 2);
    const y = (value) => bottom - (value / most.top) * (bottom - margin.top);
    context.fillStyle = palette.states[State.flight];
    context.textAlign = 'left';
    for (let value = most.step; value <= most.top * 1.001; value += most.step) context.fillText(String(value), right + 7, y(value));
    if (samples.length < 2) return;
    context.strokeStyle = palette.states[State.flight];
    context.lineWidth = 1.75;
    context.lineJoin = 'round';
    context.beginPath();
    for (const { at, inFlight } of samples) context.lineTo(x(at), y(inFlight));
    context.stroke();
  };
  const view = chart(canvas, paint);
  return {
    show(run) {
      samples = [];
      sampled = run;
      view.show(run);
    },
    frame(isLast) {
      if (sampled && sampled.phase !== 'over') {
        const at = sampled.elapsedMs;
        if (samples.length === 0 || at - samples.at(-1).at >= 100) samples.push({ at, inFlight: sampled.inFlight });
        if (samples.length > 1200) samples = samples.filter((_, i) => i % 2 === 0);
      } else if (sampled && isLast) {
        samples.push({ at: sampled.elapsedMs, inFlight: 0 });
      }
      view.frame(isLast);
    },
  };
}

// ---- Latency ----

export function latencyChart(canvas) {
  const paint = (context, width, palette, run) => {
    const spanMs = Math.max(run?.elapsedMs ?? 0, 5000), ends = run?.ends ?? [];
    const sorted = ends.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
    const good = (run?.latencies ?? []).toSorted((a, b) => a - b);
    const most = quantile(sorted, 1) ?? 1000;
    const top = rounded(Math.max(most * 1.04, 4));
    const isLong = top.top >= 1000;
    const { x, y, right } = axes(context, width, palette, spanMs, top, (value) =>
      value === 0 ? '0' : isLong ? `${Number((value / 1000).toFixed(2))} s` : `${Number(value.toFixed(1))} ms`);
    const radius = ends.length > 1500 ? 1.5 : ends.length > 400 ? 2 : 2.6;
    context.globalAlpha = ends.length > 400 ? 0.55 : 0.75;
    context.fillStyle = palette.states[State.done];
    for (const { at, latencyMs, ok } of ends) {
      if (!ok) continue;
      context.beginPath();
      context.arc(x(at), y(latencyMs), radius, 0, 7);
      context.fill();
    }
    context.globalAlpha = 1;
    context.strokeStyle = palette.states[State.failed];
    context.lineWidth = 1.5;
    context.beginPath();
    for (const { at, latencyMs, ok } of ends) {
      if (ok) continue;
      for (const way of [1, -1]) {
        context.moveTo(x(at) - 3, y(latencyMs) - 3 * way);
        context.lineTo(x(at) + 3, y(latencyMs) + 3 * way);
      }
    }
    context.stroke();
    paintQuantiles(context, palette, good, y, right);
  };
  const paintQuantiles = (context, palette, sorted, y, right) => {
    context.textAlign = 'left';
    context.lineWidth = 1.25;
    context.strokeStyle = context.fillStyle = palette.ink;
    const median = quantile(sorted, 0.5);
    for (const [name, share] of [['p50', 0.5], ['p95', 0.95]]) {
      const value = quantile(sorted, share);
      if (value === undefined) continue;
      context.setLineDash(name === 'p50' ? [] : [4, 4]);
      context.beginPath();
      context.moveTo(margin.left, y(value));
      context.lineTo(right, y(value));
      context.stroke();
      const isClose = name === 'p95' && y(median) - y(value) < 12;
      context.fillText(name, right + 7, isClose ? y(median) - 12 : y(value));
    }
    context.setLineDash([]);
  };
  return chart(canvas, paint);
}
