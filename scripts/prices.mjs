// prices.mjs: prints core/src/flow/price_table.inc from the npm package @pydantic/genai-prices (MIT).
//
//   npm install @pydantic/genai-prices@VERSION          (anywhere)
//   node scripts/prices.mjs PATH/node_modules/@pydantic/genai-prices YYYY-MM-DD > core/src/flow/price_table.inc
//
// The date is the day the package was published: prices with a start date count from then on. Where a price
// has tiers by context length the first tier is taken. Models paid for by sound, image or hour are left out,
// since tokens alone do not give their cost; so are models that are no longer offered.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [path, date] = process.argv.slice(2);
if (!path || !/^\d{4}-\d{2}-\d{2}$/.test(date ?? '')) {
  console.error('usage: node scripts/prices.mjs PATH_OF_PACKAGE YYYY-MM-DD > core/src/flow/price_table.inc');
  process.exit(2);
}
const { version, license, module } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'));
const { findProvider } = await import(pathToFileURL(resolve(path, module)).href);

const providers = [
  { id: 'openai', name: 'openai' },
  { id: 'anthropic', name: 'anthropic' },
  { id: 'google', name: 'gemini' },
];
// Those with batch APIs besides: not in the wasm modules, which have no jobs. Azure's prices are OpenAI's.
const others = [
  { id: 'openai', name: 'azure' },
  { id: 'groq', name: 'groq' },
  { id: 'mistral', name: 'mistral' },
];
const notByTokens = /audio|realtime|tts|transcribe|whisper|image|live|omni|computer|moderation|search|vision/;
const notChat = /:free|^mistral-ocr|^voxtral|\//;
const notOfferedByGroq =
  /preview|specdec|^(llama2|llama3|gemma|mixtral|deepseek|mistral-saba|llama-3\.1-(405|70)b|llama-guard-3)/;
const notOffered =
  /^(ada|babbage|curie|davinci|text-davinci|chatgpt|codex-mini|gpt-3\.5-(0301|turbo-(0613|16k))|gpt-4-32k|gpt-4\.5|gpt-4o:|gpt-oss|o1-mini|o1-preview|claude-(2|v1|3-sonnet|3-opus)|gemini-(1|pro|flash-1)|gemma-2)/;

// The names a match stands for: exact ones, and prefixes as "name*".
function names(match) {
  if (match.equals) return [match.equals];
  if (match.ends_with) return [match.ends_with];
  if (match.starts_with) return [match.starts_with + '*'];
  if (match.contains) return [match.contains + '*'];
  if (match.or) return match.or.flatMap(names);
  if (match.and) return names(match.and[0]);
  const [, literal, rest] = /^\^((?:[\w-]|\\\.)+)\\d(.*)$/.exec(match.regex) ?? [];
  if (literal === undefined) return [];
  const isDate = rest.startsWith('{4}') || rest.startsWith('{8}');
  return [literal.replaceAll('\\.', '.') + (isDate ? '2*' : '0*')];
}

function pricesOn(prices) {
  if (!Array.isArray(prices)) return prices;
  const valid = prices.filter((p) => !p.constraint || p.constraint.start_date <= date);
  return valid[valid.length - 1].prices;
}

// USD per million tokens to nano-USD per million tokens.
function nano(price, absent) {
  if (price === undefined) return absent;
  return String(Math.round((typeof price === 'object' ? price.base : price) * 1e9));
}

function rowsOf({ id, name }) {
  const rows = [];
  const seen = new Set();
  for (const model of findProvider({ providerId: id }).models) {
    if (notByTokens.test(model.id) || notOffered.test(model.id) || model.deprecated) continue;
    if (name === 'gemini' && !/^gem/.test(model.id)) continue;
    if (name === 'groq' && notOfferedByGroq.test(model.id)) continue;
    if (name === 'mistral' && notChat.test(model.id)) continue;
    const p = pricesOn(model.prices);
    for (const text of names(model.match)) {
      if (seen.has(text) || /search|ft:gpt-4-0|:thinking/.test(text)) continue;
      if (name !== 'azure' && /^gpt-\d-\d(-|$)|^gpt-35/.test(text)) continue; // Azure's spelling
      seen.add(text);
      rows.push(
        `PRICE(${name}, "${text}", ${nano(p.input_mtok, '0')}, ${nano(p.output_mtok, '0')}, ` +
          `${nano(p.cache_read_mtok, 'NONE')}, ${nano(p.cache_write_mtok, 'NONE')})`,
      );
    }
  }
  return rows;
}

const rows = providers.flatMap(rowsOf);
// A local server and the simulator cost nothing.
for (const name of ['ollama', 'sim']) rows.push(`PRICE(${name}, "*", 0, 0, 0, 0)`);

console.log(`/* price_table.inc: prices in nano-USD per million tokens; made by scripts/prices.mjs, not by hand.
 *
 * Source: npm package @pydantic/genai-prices ${version} of ${date}, licence ${license}, Copyright (c) Pydantic Services Inc.
 * First tier where a price depends on the context length; absent: as input. */
#define PRICE_TABLE_DATE "${date}"
#define PRICE_TABLE_SOURCE "@pydantic/genai-prices ${version}"

/* clang-format off */
/* provider, model, input, output, cache_read, cache_write */
${rows.join('\n')}
#if !defined(SHEAF_MODULE) && !defined(SHEAF_DESCRIBED)
${others.flatMap(rowsOf).join('\n')}
#endif
/* clang-format on */`);
