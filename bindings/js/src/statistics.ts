// statistics.ts: what the engine did, as an object and as OpenMetrics text. The module hands out the numbers; where they lie
// and how each is written says the core (tables.ts), and the build compares both with what the core itself writes.

import { classNames } from './layout.js';
import { figureRows, Kind, limitedByNames, metricRows, Place, quantileNames, scales, summaryLabels } from './tables.js';

const absent = -(2n ** 63n);
const second = 1_000_000_000;

/** A number of 1/scale as decimal text. */
function decimal(number: bigint, scale: number): string {
  const digits = String(scale).length - 1;
  const text = String(number).padStart(digits + 1, '0'), at = text.length - digits;
  const rest = text.slice(at).replace(/0+$/, '');
  return text.slice(0, at) + (rest && `.${rest}`);
}

class Numbers {
  private readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u32(offset: number): number {
    return this.view.getUint32(offset, true);
  }

  u64(offset: number): bigint {
    return this.view.getBigUint64(offset, true);
  }

  isTrue(offset: number): boolean {
    return this.view.getUint8(offset) !== 0;
  }

  /** Of the kinds that are a number; undefined: money that nobody knows. */
  text(offset: number, kind: Kind): string | undefined {
    if (kind === Kind.TRUTH) return this.isTrue(offset) ? '1' : '0';
    const scale = scales[kind] as number;
    if (kind !== Kind.MONEY) return decimal(this.u64(offset), scale);
    const nano = this.view.getBigInt64(offset, true);
    return nano === absent ? undefined : decimal(nano < 0n ? 0n : nano, scale);
  }

  /** In ms, of ns. */
  ms(offset: number): number {
    return Number(decimal(this.u64(offset) / 1000n, 1000));
  }

  /** The classes that anything was counted of. */
  classes(offset: number): [name: string, count: bigint][] {
    return classNames
      .map((name, i): [string, bigint] => [name, this.u64(offset + 8 * i)])
      .filter(([, count], i) => i > 0 && count > 0n);
  }

  quantiles(offset: number): Record<string, number> | null {
    const count = Number(this.u64(offset));
    if (count === 0) return null;
    return Object.fromEntries(quantileNames.map((name, i) => [name, i === 0 ? count : this.ms(offset + 8 * i)]));
  }

  series(offset: number): object {
    const mean = Array.from({ length: this.u32(Place.series_count) }, (_, i) => this.u32(offset + 4 * i) / 1000);
    return { span_ms: this.ms(Place.series_span), mean };
  }
}

function figure(numbers: Numbers, kind: Kind, offset: number): unknown {
  if (kind === Kind.TRUTH) return numbers.isTrue(offset);
  if (kind === Kind.QUANTILES) return numbers.quantiles(offset);
  if (kind === Kind.CLASSES) return Object.fromEntries(numbers.classes(offset).map(([name, count]) => [name, Number(count)]));
  if (kind === Kind.SERIES) return numbers.series(offset);
  if (kind === Kind.LIMITED_BY) return limitedByNames[numbers.u32(offset)] ?? 'unknown';
  const text = numbers.text(offset, kind);
  return text === undefined ? null : Number(text);
}

/** As `sheaf run --stats` writes them. */
export function figuresOf(bytes: Uint8Array): Record<string, unknown> {
  const numbers = new Numbers(bytes), figures: Record<string, unknown> = {};
  for (const row of figureRows) {
    const [name, kind, offset] = row.split(' ') as [string, string, string];
    figures[name] = figure(numbers, Number(kind), Number(offset));
  }
  return figures;
}

/** What counts in a summary: its quantiles, sum and number. */
function summary(numbers: Numbers, offset: number): [suffix: string, label: string, value: string][] {
  const of = (name: string): bigint => numbers.u64(offset + 8 * quantileNames.indexOf(name));
  const seconds = (ns: bigint): string => decimal(ns, second);
  return [
    ...summaryLabels.map((label): [string, string, string] => {
      const share = /[\d.]+/.exec(label)?.[0] as string; // 0.5, of which p50 tells
      return ['', label, seconds(of(`p${Math.round(Number(share) * 100)}`))];
    }),
    ['_sum', '', seconds(of('mean') * of('count'))],
    ['_count', '', String(of('count'))],
  ];
}

/** The same for a server that collects metrics. */
export function openMetricsOf(bytes: Uint8Array): string {
  const numbers = new Numbers(bytes);
  let text = '', family = '';
  for (const row of metricRows) {
    const [name, kindText, offsetText, counts, label = ''] = row.split(' ') as [string, string, string, string, string?];
    const kind: Kind = Number(kindText), offset = Number(offsetText), suffix = counts === '1' ? '_total' : '';
    const put = (ending: string, labels: string, value: string): void => {
      text += `sheaf_${family}${ending}${labels && `{${labels}}`} ${value}\n`;
    };
    const value = kind === Kind.QUANTILES || kind === Kind.CLASSES ? '' : numbers.text(offset, kind);
    if (value === undefined) continue;
    if (name) {
      family = name;
      text += `# TYPE sheaf_${name} ${suffix ? 'counter' : kind === Kind.QUANTILES ? 'summary' : 'gauge'}\n`;
    }
    if (kind === Kind.QUANTILES) for (const sample of summary(numbers, offset)) put(...sample);
    else if (kind === Kind.CLASSES) for (const [each, count] of numbers.classes(offset)) put(suffix, `class="${each}"`, String(count));
    else put(suffix, label, value);
  }
  return `${text}# EOF\n`;
}
