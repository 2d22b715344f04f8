// prices.ts: what tokens cost, as the module takes it (config.c): the user's rows, then those that are built in. What is wrong
// with the user's is said as the core says it (sheaf_prices_read).

import { SheafError } from './errors.js';
import { priceRows } from './tables.js';

const money = ['input', 'output', 'cache_read', 'cache_write', 'batch_input', 'batch_output'];
const none = [null, null, null, null, 0, 0];
const members = ['provider', 'model', ...money];
const nanoOf = (usd: number): number => Math.round(usd * 1e9);

function refuse(code: string, message: string): never {
  throw new SheafError(`prices: ${message}`, code, 'prices');
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function nameOf(value: unknown): string {
  if (typeof value !== 'string') refuse('E_TYPE', 'give it as a string');
  if (value === '' || value.includes('\0')) refuse('E_FIELD', 'give a name that is not empty');
  return value;
}

function moneyOf(value: unknown, i: number): number | null {
  if (i > 1 && (value === undefined || value === null)) return none[i] as number | null;
  if (typeof value !== 'number' || !(nanoOf(value) <= Number.MAX_SAFE_INTEGER))
    refuse('E_TYPE', 'give the price in USD per million tokens');
  if (value < 0) refuse('E_RANGE', 'a price is not below 0');
  return nanoOf(value);
}

function flat(row: unknown): (string | number | null)[] {
  if (!isObject(row)) refuse('E_TYPE', 'each price is an object');
  if (Object.keys(row).some((name) => !members.includes(name))) refuse('E_FIELD', `a price has ${members.join(', ')}`);
  for (const name of members.slice(0, 4)) if (row[name] === undefined) refuse('E_FIELD', `a price needs ${name}`);
  return [nameOf(row['provider']), nameOf(row['model']), ...money.map((name, i) => moneyOf(row[name], i))];
}

function given(table: unknown): (string | number | null)[] {
  if (table === undefined) return [];
  const rows = isObject(table) ? table['prices'] : undefined;
  if (!Array.isArray(rows)) refuse(rows === undefined ? 'E_FIELD' : 'E_TYPE', 'give the prices as an array');
  const { date } = table as { date?: unknown };
  if (date !== undefined) nameOf(date);
  return rows.flatMap(flat);
}

function builtIn(provider: string): (string | number | null)[] {
  return (priceRows[provider] ?? []).flatMap((row) => {
    const [costs, ...models] = row.split(' ') as [string, ...string[]];
    const each = costs.split(',');
    const prices = money.map((_, i) => (each[i] ? nanoOf(Number(each[i])) : none[i] as number | null));
    return models.flatMap((model) => [provider, model, ...prices]);
  });
}

/** For an engine that calls these providers. */
export function pricesFor(providers: readonly string[], table: unknown): (string | number | null)[] {
  return [...given(table), ...[...new Set(providers)].flatMap(builtIn)];
}
