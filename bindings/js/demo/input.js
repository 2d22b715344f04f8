// input.js: what was pasted or dropped, as requests: text with a prompt a line, JSONL, or CSV with a template.

/** More would not be a demonstration, and fill the page's memory. */
export const rowsMax = 20000;

/** Members of a line that are about the row and not about the provider's body, under the names the package gives them. */
const rowFields = {
  custom_id: 'customId', deadline_ms: 'deadlineMs', trust_key: 'trustKey', max_tokens: 'maxTokens', top_p: 'topP',
};

/**
 * Reads all of it: `rows` of { request, label }, the `format` it turned out to be, the `columns` of a CSV file, and the
 * first `problem` as { line, message }.
 */
export function read(text, { format = 'auto', template = '' } = {}) {
  const chosen = format === 'auto' ? detect(text) : format;
  const outcome = { format: chosen, rows: [], columns: [], problem: undefined };
  try {
    if (chosen === 'csv') readCsv(text, template, outcome);
    else readLines(text, chosen === 'jsonl' ? jsonRow : textRow, outcome);
    if (outcome.rows.length > rowsMax) throw at(rowsMax + 1, `this page takes ${rowsMax} requests; the command and the package take any number`);
    checkIds(outcome.rows);
  } catch (error) {
    if (error.line === undefined) throw error;
    outcome.problem = error;
  }
  return outcome;
}

function detect(text) {
  const first = text.trimStart().split('\n', 1)[0].trim();
  if (!/^[{"]/.test(first)) return 'text';
  try {
    JSON.parse(first);
    return 'jsonl';
  } catch {
    return first.startsWith('{"') ? 'jsonl' : 'text';
  }
}

function at(line, message) {
  return Object.assign(new Error(message), { line });
}

function readLines(text, rowOf, outcome) {
  text.replace(/^\ufeff/, '').split(/\r?\n/).forEach((line, i) => {
    if (line.trim() !== '') outcome.rows.push({ ...rowOf(line, i + 1), line: i + 1 });
  });
}

const textRow = (line) => ({ request: { prompt: line }, label: line });

function jsonRow(line, number) {
  let value;
  try {
    value = JSON.parse(line);
  } catch {
    throw at(number, 'this is no JSON');
  }
  if (typeof value === 'string') return textRow(value);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw at(number, 'an object or a string is wanted');
  const request = {};
  for (const [name, member] of Object.entries(value)) request[rowFields[name] ?? name] = member;
  return { request, label: labelOf(request) };
}

/** What a person would call the prompt: the last message of the user. */
function labelOf({ prompt, messages, body, input, contents }) {
  const said = prompt ?? messages?.findLast?.((message) => message.role === 'user')?.content ?? input ?? contents;
  if (said === undefined && body) return labelOf(body);
  return typeof said === 'string' ? said : JSON.stringify(said ?? '');
}

// ---- CSV (RFC 4180) ----

/** Records of fields, with the line that each begins in. */
function* records(text) {
  let fields = [], field = '', isQuoted = false, line = 1, begin = 1;
  const body = text.replace(/^\ufeff/, '');
  for (let i = 0; i < body.length; i++) {
    const c = body[i];
    if (c === '\n') line++;
    if (isQuoted) {
      if (c !== '"') field += c;
      else if (body[i + 1] === '"') field += body[++i];
      else isQuoted = false;
    } else if (c === '"' && field === '') {
      isQuoted = true;
    } else if (c === ',') {
      fields.push(field);
      field = '';
    } else if (c === '\n') {
      fields.push(field.replace(/\r$/, ''));
      yield { fields, line: begin };
      [fields, field, begin] = [[], '', line];
    } else {
      field += c;
    }
  }
  if (isQuoted) throw at(begin, 'a quotation mark is never closed');
  if (field !== '' || fields.length > 0) yield { fields: [...fields, field], line: begin };
}

function readCsv(text, given, outcome) {
  for (const { fields, line } of records(text)) {
    if (fields.length === 1 && fields[0].trim() === '') continue;
    if (outcome.columns.length === 0) {
      outcome.columns = fields.map((name) => name.trim());
      continue;
    }
    const named = Object.fromEntries(outcome.columns.map((name, i) => [name, fields[i] ?? '']));
    const prompt = fill(given || defaultTemplate(outcome.columns), named, line);
    const request = { prompt };
    if (named.custom_id) request.customId = named.custom_id;
    outcome.rows.push({ request, label: prompt, line });
  }
}

/** The column of prompts, or the first. */
export function defaultTemplate(columns) {
  const name = columns.find((column) => /^(prompt|text|question|input)$/i.test(column)) ?? columns[0] ?? 'prompt';
  return `{${name}}`;
}

function fill(template, named, line) {
  return template.replace(/\{([^{}]+)\}/g, (_, name) => {
    if (!Object.hasOwn(named, name.trim())) throw at(line, `there is no column "${name.trim()}"`);
    return named[name.trim()];
  });
}

// ---- Names ----

/** Every row has a name of its own, so that results can be told apart. */
function checkIds(rows) {
  const seen = new Set();
  rows.forEach((row, i) => {
    row.request.customId ??= `row-${i + 1}`;
    const id = String(row.request.customId);
    if (seen.has(id)) throw at(row.line, `custom_id "${id}" is there twice`);
    seen.add(id);
  });
}

// ---- Something to begin with ----

const asked = [
  ['Translate into Italian: ', ['the harvest is in', 'rain before noon', 'a field of barley', 'the mill is closed']],
  ['Name the capital of ', ['Peru', 'Norway', 'Kenya', 'Vietnam', 'Portugal', 'Mongolia', 'Chile', 'Latvia']],
  ['Explain in one sentence: ', ['photosynthesis', 'a sourdough starter', 'why ice floats', 'the tides', 'compound interest']],
  ['Sort by mood, good or bad: ', ['"the bread was stale"', '"what a morning!"', '"it arrived in pieces"', '"better than hoped"']],
  ['Give a rhyme for ', ['wheat', 'stone', 'river', 'lantern', 'meadow', 'thread']],
];

export function sample(count) {
  return Array.from({ length: count }, (_, i) => {
    const [begin, things] = asked[i % asked.length];
    return `${i + 1}. ${begin}${things[Math.floor(i / asked.length) % things.length]}`;
  }).join('\n');
}
