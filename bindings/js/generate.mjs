// generate.mjs: what is made from the module's own description, so that nothing of it is typed by hand:
//
//   src/generated.ts   the options with their ranges, classes of errors
//   src/layout.ts      the mailbox, constants and codes, which the bundler writes into the code as numbers
//   src/tables.ts      where statistics lie and how they are written; the built-in prices
//   README.md          the table of options, between its markers
//
//   node generate.mjs SHEAF-DESCRIBED.wasm     writes them
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const typesPath = new URL('src/generated.ts', import.meta.url);
const layoutPath = new URL('src/layout.ts', import.meta.url);
const tablesPath = new URL('src/tables.ts', import.meta.url);
const readmePath = new URL('README.md', import.meta.url);

function abiOf(path) {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(path)), {});
  exports._initialize();
  const at = exports.sheaf_wasm_abi();
  const bytes = new DataView(exports.memory.buffer).getUint32(at - 4, true);
  return JSON.parse(new TextDecoder().decode(new Uint8Array(exports.memory.buffer, at, bytes)));
}

const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
const sentence = (help) => help[0].toUpperCase() + help.slice(1);

const typeOf = ({ name, choices }) => {
  if (choices === 'no|yes') return 'boolean';
  if (choices) return choices.split('|').map((choice) => `'${choice}'`).join(' | ');
  return name === 'concurrency' ? "number | 'auto'" : 'number';
};

const initialOf = ({ name, choices, initial }) => {
  if (choices === 'no|yes') return String(initial === 1);
  if (choices) return `'${choices.split('|')[initial]}'`;
  return initial === undefined || name === 'budget_usd' ? 'none' : String(initial);
};

const rangeOf = ({ name, choices, min, max }) => (choices || name === 'budget_usd' ? '' : `${min} to ${max}`);

function optionDeclared(row) {
  const range = rangeOf(row), initial = initialOf(row);
  const facts = [range, `default ${initial}`].filter(Boolean).join(', ');
  return `  /** ${sentence(row.help)}. ${sentence(facts)}. */\n  ${camel(row.name)}?: ${typeOf(row)};`;
}

const union = (names) => names.map((name) => `  | '${name}'`).join('\n');

const types = (abi) => `// generated.ts: made by generate.mjs from the module's own description (sheaf ${abi.sheaf}).

/** The core's options, under the names of the command's flags. */
export interface CoreOptions {
${abi.options.map(optionDeclared).join('\n')}
}

/** A provider that the core speaks to. */
export type Provider =
${union(abi.providers.map(({ name }) => name))};

/** Why a request failed. */
export type ErrorClass =
${union(abi.classes.slice(1))};

/** What becomes of a group of requests that share a call. */
export type GroupState =
${union(abi.group_states.slice(1))};
`;

const members = (entries) => entries.map(([name, value]) => `  ${name} = ${value},`).join('\n');
const kind = (prefix) => (abi) =>
  members(Object.entries(abi.constants).filter(([name]) => name.startsWith(prefix)).map(([name, value]) => [name.slice(prefix.length), value]));
const text = (names) => `'${names.join(' ')}'.split(' ')`;

/** Names of notices, by their numbers. */
const notices = (abi) => {
  const names = [];
  for (const [name, value] of Object.entries(abi.constants)) if (name.startsWith('NOTICE_')) names[value] = name.slice(7).toLowerCase();
  return Array.from(names, (name) => name ?? '');
};

const layout = (abi) => `// layout.ts: made by generate.mjs from the module's own description (sheaf ${abi.sheaf}). All of it is internal.

/** What sheaf_wasm_version answers. */
export const VERSION = ${abi.version};
export const SHEAF = '${abi.sheaf}';

/** Where the members of the mailbox lie (wasm_int.h). */
export const enum Mail {
${members(Object.entries(abi.mail.fields).map(([name, [, offset]]) => [name, offset]))}
}

/** What came out. */
export const enum Kind {
${kind('MAIL_')(abi)}
}

export const enum Flag {
${kind('FLAG_')(abi)}
}

/** How an exchange ended. */
export const enum End {
${kind('END_')(abi)}
}

export const enum RecordType {
${kind('RECORD_')(abi)}
}

/** How a request travelled. */
export const enum Lane {
${kind('LANE_')(abi)}
}

export const enum Status {
${members(Object.entries(abi.status))}
}

export const statusNames: Readonly<Record<number, string>> = {
${Object.entries(abi.status).map(([name, value]) => `  ${value < 0 ? `'${value}'` : value}: '${name}',`).join('\n')}
};

/** What is said of a call that left no message. */
export const statusTexts: Readonly<Record<string, string>> = {
${Object.entries(abi.sentences).filter(([name]) => name !== 'OK').map(([name, sentence]) => `  ${name}: '${sentence}',`).join('\n')}
};

export const classNames = ${text(abi.classes)};
export const billingNames = ${text(abi.billing)};
export const groupStateNames = ${text(abi.group_states)};
export const noticeNames = ${text(notices(abi))};

/** Variables in which a provider's key is looked for. */
export const keyVariables: Readonly<Record<string, string>> = {
${abi.providers.filter((row) => row.key_variables).map(({ name, key_variables: names }) => `  ${name}: '${names}',`).join('\n')}
};
`;

// ---- Tables ----

const rows = (lines) => `[\n${lines.map((line) => `  '${line}',`).join('\n')}\n]`;
const inMillionths = (nano) => (nano === null ? '' : String(nano / 1e9));

/** Per provider: what tokens cost, and the models that cost that. */
function pricesOf({ rows: all }) {
  const providers = new Map();
  for (const [provider, model, ...money] of all) {
    if (!/^[^\s',]+$/.test(model)) throw new Error(`a model's name that the table of prices has no place for: ${model}`);
    const costs = providers.get(provider) ?? providers.set(provider, new Map()).get(provider);
    const cost = money.map(inMillionths).join(',').replace(/,+$/, '');
    costs.set(cost, [...(costs.get(cost) ?? []), model]);
  }
  return [...providers].map(([provider, costs]) =>
    `  ${provider}: ${rows([...costs].map(([cost, models]) => `${cost} ${models.join(' ')}`)).replaceAll('\n', '\n  ')},`).join('\n');
}

const tables = ({ sheaf, prices, statistics: { layout } }) => `// tables.ts: made by generate.mjs from the module's own description (sheaf ${sheaf}). All of it is internal.

/** How a number of the statistics is written. */
export const enum Kind {
${members(layout.kinds.map((name, number) => [name, number]))}
}

/** Where the numbers lie that no row stands for. */
export const enum Place {
${members([['series_count', layout.series_count], ['series_span', layout.series_span]])}
}

/** What a whole one counts as, by kind. */
export const scales = [${layout.scales.join(', ')}];
export const quantileNames = ${text(layout.quantiles)};
export const summaryLabels = ${text(layout.summary)};
export const limitedByNames = ${text(layout.limited_by)};

/** Name, kind, offset. */
export const figureRows = ${rows(layout.members.map(({ name, kind, offset }) => `${name} ${kind} ${offset}`))};

/** Name (none: of the family above), kind, offset, 1 for a counter, label. */
export const metricRows = ${rows(layout.metrics.map((row) => `${row.name ?? ''} ${row.kind} ${row.offset} ${row.counts} ${row.label ?? ''}`.trimEnd()))};

/** What a million tokens cost in US dollars (input, output, read from the cache, written to it), and the models; as of ${prices.date}. */
export const priceRows: Readonly<Record<string, readonly string[]>> = {
${pricesOf(prices)}
};
`;

const cell = (text) => text.replaceAll('|', '\\|');

const table = (abi) => [
  '| option | what | values | default |',
  '|---|---|---|---|',
  ...abi.options.map((row) => {
    const values = row.choices ? `\`${cell(typeOf(row))}\`` : row.name === 'concurrency' ? `${rangeOf(row)}, \`'auto'\`` : rangeOf(row);
    return `| \`${camel(row.name)}\` | ${cell(row.help)} | ${values} | ${initialOf(row)} |`;
  }),
].join('\n');

function withTable(readme, abi) {
  const parts = readme.split(/(<!-- options -->\n)[^]*?(<!-- end of options -->)/);
  if (parts.length !== 4) throw new Error('README.md lacks the markers of its table of options');
  return `${parts[0]}${parts[1]}\n${table(abi)}\n\n${parts[2]}${parts[3]}`;
}

/** [path, what it should hold] of everything that is made. */
export function generated(modulePath) {
  const abi = abiOf(modulePath);
  return [[typesPath, types(abi)], [layoutPath, layout(abi)], [tablesPath, tables(abi)], [readmePath, withTable(readFileSync(readmePath, 'utf8'), abi)]];
}

/** Numbers of statistics, and what the core writes of them. */
export const examples = (modulePath) => abiOf(modulePath).statistics.examples;

/** The paths of those that are not what the module says. */
export function stale(modulePath) {
  return generated(modulePath).filter(([path, text]) => readFileSync(path, 'utf8') !== text).map(([path]) => fileURLToPath(path));
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [path, text] of generated(process.argv[2])) writeFileSync(path, text);
