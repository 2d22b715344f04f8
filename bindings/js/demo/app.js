// app.js: the page put together: what the form says becomes a run, and the run is shown until it is over.

import { SheafError, fetchTransport } from './sheaf/browser.js';

import { glyph } from './cells.js';
import { duration, latencyChart, quantile, throughputChart } from './charts.js';
import { makeGrid } from './grid.js';
import { defaultTemplate, read, rowsMax, sample } from './input.js';
import { Run, State, states } from './run.js';
import { simulator } from './simulator.js';
import { makeTable, money } from './table.js';

const $ = (id) => document.getElementById(id);
const form = $('setup'), fields = form.elements;

// ---- Endpoints ----

const presets = {
  builtin: { name: 'Simulator in this page', provider: 'openai', baseURL: 'https://simulator.invalid/v1', model: 'sim-1' },
  sim: { name: 'sheaf sim, on this machine', provider: 'openai', baseURL: 'http://127.0.0.1:8080/v1', model: 'sim-1' },
  openai: { name: 'OpenAI', provider: 'openai', baseURL: 'https://api.openai.com/v1', model: 'gpt-4o-mini' },
  anthropic: {
    name: 'Anthropic', provider: 'anthropic', baseURL: 'https://api.anthropic.com', model: 'claude-3-5-haiku-latest', maxTokens: 1024,
    // Without it the provider answers no page.
    headers: { 'anthropic-dangerous-direct-browser-access': 'true' },
  },
  gemini: { name: 'Gemini', provider: 'gemini', baseURL: 'https://generativelanguage.googleapis.com', model: 'gemini-2.0-flash' },
  ollama: { name: 'Ollama, on this machine', provider: 'ollama', baseURL: 'http://127.0.0.1:11434', model: 'llama3.2' },
  compatible: { name: 'Another one like OpenAI', provider: 'openai', baseURL: 'http://127.0.0.1:8000/v1', model: '' },
};
for (const [key, { name }] of Object.entries(presets)) fields.preset.append(new Option(name, key));

function showPreset() {
  const key = fields.preset.value, preset = presets[key], isBuiltin = key === 'builtin';
  for (const one of document.querySelectorAll('.only-builtin')) one.hidden = !isBuiltin;
  for (const one of document.querySelectorAll('.only-remote')) one.hidden = isBuiltin;
  fields.baseURL.value = preset.baseURL;
  fields.model.value = preset.model;
  fields.maxTokens.value = preset.maxTokens ?? '';
  showHints();
}

function showHints() {
  const isRemote = fields.preset.value !== 'builtin';
  $('key-note').hidden = fields.apiKey.value === '';
  $('connections-note').hidden = !isRemote || !fields.baseURL.value.startsWith('http:');
}

// ---- Prompts ----

let input = read('');
let fileFormat;

function readInput() {
  const format = fields.format.value === 'auto' && fileFormat ? fileFormat : fields.format.value;
  input = read(fields.input.value, { format, template: fields.template.value.trim() });
  const { rows, columns, problem } = input;
  $('template-field').hidden = input.format !== 'csv';
  fields.template.placeholder = defaultTemplate(columns);
  $('columns').textContent = columns.length > 0 ? `Columns: ${columns.map((name) => `{${name}}`).join(' ')}` : '';
  const kind = { text: 'text', jsonl: 'JSONL', csv: 'CSV' }[input.format];
  $('input-note').textContent = `${rows.length.toLocaleString()} ${rows.length === 1 ? 'request' : 'requests'}, read as ${kind}`;
  complain('input', problem && `Line ${problem.line}: ${problem.message}.`);
  if (run.phase === 'ready') show(new Run(rows));
}

async function openFile(file) {
  if (file.size > 64 << 20) {
    complain('input', `${file.name} is larger than 64 MiB; this page takes ${rowsMax.toLocaleString()} requests at most.`);
    return;
  }
  fileFormat = /\.csv$/i.test(file.name) ? 'csv' : /\.(jsonl|ndjson)$/i.test(file.name) ? 'jsonl' : undefined;
  fields.input.value = await file.text();
  readInput();
  say(`${file.name}: ${$('input-note').textContent}`);
}

// ---- What is wrong with the form ----

/** The form's field for an option of the package, where their names differ. */
const fieldOf = { attemptTimeoutMs: 'timeout' };

function complain(name, message) {
  const text = $(`${name}-error`), field = fields[fieldOf[name] ?? name];
  if (text) text.textContent = message ?? '';
  if (message) field?.setAttribute('aria-invalid', 'true');
  else field?.removeAttribute('aria-invalid');
  return field;
}

function forgive() {
  for (const text of form.querySelectorAll('.error')) if (text.id !== 'input-error') complain(text.id.replace(/-error$/, ''), '');
  $('run-error').textContent = '';
}

function refuse(name, message) {
  const field = complain(name, message);
  if (field?.closest('details')) field.closest('details').open = true;
  field?.focus();
  if (!field) $('run-error').textContent = message;
}

/** Addresses that the page's own policy would block are refused in words. */
function checkAddress(text) {
  if (!URL.canParse(text)) return 'This is no address. It begins with https://, or with http:// for this machine.';
  const { protocol, hostname } = new URL(text);
  const isHere = hostname === '127.0.0.1' || hostname === 'localhost';
  if (protocol === 'https:' || (protocol === 'http:' && isHere)) return undefined;
  return 'Without TLS (http:) this page talks to 127.0.0.1 and localhost alone.';
}

const number = (name) => (fields[name].value === '' ? undefined : Number(fields[name].value));

/** The client's options out of the form; or undefined, once the form says what is wrong. */
function optionsOfForm() {
  const preset = presets[fields.preset.value], isBuiltin = fields.preset.value === 'builtin';
  const apiKey = isBuiltin ? '' : fields.apiKey.value.trim();
  const wrong = !isBuiltin && checkAddress(fields.baseURL.value);
  if (wrong) return void refuse('baseURL', wrong);
  if (apiKey && !fields.isUnderstood.checked) {
    complain('apiKey', 'Read the warning below and tick its box, or leave the key out.');
    fields.isUnderstood.focus();
    return undefined;
  }
  for (const [name, field] of [['concurrency', 'concurrency'], ['maxRetries', 'maxRetries'], ['rpm', 'rpm'], ['tpm', 'tpm'],
    ['maxTokens', 'maxTokens'], ['attemptTimeoutMs', 'timeout'], ['budgetUsd', 'budgetUsd']])
    if (fields[field].validity.badInput) return void refuse(name, 'A number is wanted.');
  const timeout = number('timeout');
  return {
    provider: preset.provider, headers: preset.headers, baseURL: isBuiltin ? preset.baseURL : fields.baseURL.value,
    apiKey: apiKey || undefined, dangerouslyAllowBrowser: apiKey !== '', model: fields.model.value.trim() || undefined,
    system: fields.system.value || undefined, maxTokens: number('maxTokens'), stream: fields.stream.checked || undefined,
    concurrency: number('concurrency'), maxRetries: number('maxRetries'), rpm: number('rpm'), tpm: number('tpm'),
    budgetUsd: number('budgetUsd'), attemptTimeoutMs: timeout === undefined ? undefined : Math.round(timeout * 1000),
  };
}

// ---- The run ----

let run = new Run([]), isStarting = false;

async function start() {
  if (isStarting || (run.phase !== 'ready' && run.phase !== 'over')) return;
  forgive();
  readInput();
  if (input.problem) return void refuse('input', `Line ${input.problem.line}: ${input.problem.message}.`);
  if (input.rows.length === 0) return void refuse('input', 'There is nothing to run yet: type a prompt, or choose Sample.');
  const client = optionsOfForm();
  if (!client) return;
  const transport = fields.preset.value === 'builtin'
    ? simulator({ latencyMs: number('latency') ?? 500, faultShare: (number('faults') ?? 0) / 100 })
    : fetchTransport();
  isStarting = true;
  $('notices').replaceChildren();
  let started;
  try {
    started = await Run.start(input.rows, { client, transport, isStreaming: fields.stream.checked, onNotice: notify });
  } catch (error) {
    if (!(error instanceof SheafError)) throw error;
    const field = error.field && $(`${error.field}-error`) ? error.field : undefined;
    if (field) refuse(field, error.message);
    else $('run-error').textContent = error.message;
    return;
  } finally {
    isStarting = false;
  }
  show(started);
  choose(-1);
  say(`Running ${run.total} requests.`);
  lastSaid = 0;
  showControls();
  if (matchMedia('(max-width: 60rem)').matches) $('stage').scrollIntoView({ block: 'start' });
  requestAnimationFrame(frame);
  await run.over;
  frame();
  say(`${$('phase').textContent}. ${run.counts[State.done]} done, ${run.counts[State.failed]} failed, ${run.counts[State.cancelled]} cancelled.`);
}

function show(next) {
  run = next;
  for (const view of views) view.show(run);
  showFigures();
}

/** What is said again is counted. */
function notify({ message }) {
  const same = [...$('notices').children].find((item) => item.dataset.message === message);
  if (same) {
    same.dataset.count = String(Number(same.dataset.count) + 1);
    same.textContent = `${message} (${same.dataset.count} times)`;
    return;
  }
  const item = document.createElement('li');
  Object.assign(item.dataset, { message, count: '1' });
  item.textContent = message;
  $('notices').append(item);
  while ($('notices').children.length > 3) $('notices').firstChild.remove();
}

// ---- Views ----

function describe(i) {
  const result = run.results[i], words = [run.rows[i].request.customId, states[run.state[i]].name.toLowerCase()];
  if (run.attempts[i] > 1) words.push(`try ${run.attempts[i]}`);
  if (result?.attempted) words.push(duration(result.latencyMs));
  const text = result?.error?.message ?? (run.texts[i] || run.rows[i].label);
  return `${words.join(', ')}: ${text.length > 110 ? `${text.slice(0, 110)}…` : text}`;
}

const grid = makeGrid($('grid'), $('tip'), { describe, open });
const table = makeTable($('table'), { open });
const views = [grid, throughputChart($('throughput')), latencyChart($('latency')), table];

const legend = states.map(({ key, name }, state) => {
  const button = document.createElement('button');
  button.type = 'button';
  button.append(glyph(key), name, ' ', document.createElement('b'));
  button.addEventListener('click', () => choose(chosen === state ? -1 : state));
  $('legend').append(button);
  return button;
});
let chosen = -1;

function choose(state) {
  chosen = state;
  legend.forEach((button, i) => button.setAttribute('aria-pressed', String(i === state)));
  $('results-note').textContent = state < 0 ? 'arrow keys move, Enter opens a row' : `${states[state].name.toLowerCase()} alone; choose it again for all`;
  table.filter(state);
}

const phases = { ready: 'Ready', running: 'Running', paused: 'Paused', cancelling: 'Cancelling', over: 'Finished' };

function phaseText() {
  if (run.phase === 'paused' && run.live.size > 0) return `Pausing, ${run.live.size} to end`;
  if (run.phase === 'over' && run.counts[State.cancelled] > 0) return 'Cancelled';
  return phases[run.phase];
}

/** Disabling the button that has the focus would lose it: the focus goes to the one that is of use next. */
function showControls() {
  const isLive = run.phase !== 'ready' && run.phase !== 'over', had = document.activeElement;
  $('run').disabled = isLive;
  $('pause').disabled = !isLive || run.phase === 'cancelling';
  $('cancel').disabled = !isLive || run.phase === 'cancelling';
  $('pause').querySelector('span').textContent = run.phase === 'paused' ? 'Resume' : 'Pause';
  $('pause').classList.toggle('resume', run.phase === 'paused');
  $('download').disabled = run.finished === 0;
  if (had?.disabled) [$('pause'), $('run'), $('cancel')].find((button) => !button.disabled)?.focus();
  document.body.dataset.phase = run.phase;
}

const set = (id, text) => {
  if ($(id).textContent !== text) $(id).textContent = text;
};

function showFigures() {
  const { counts, total, finished } = run;
  const sorted = run.latencies.toSorted((a, b) => a - b);
  const seconds = Math.floor(run.elapsedMs / 1000);
  set('phase', phaseText());
  set('f-done', `${finished.toLocaleString()} / ${total.toLocaleString()}`);
  set('f-rate', run.elapsedMs > 500 ? (run.ends.length / (run.elapsedMs / 1000)).toFixed(1) : '–');
  set('f-flight', run.inFlight.toLocaleString());
  set('f-tokens', finished === 0 ? '–' : `${run.succeeded.inputTokens.toLocaleString()} / ${run.succeeded.outputTokens.toLocaleString()}`);
  set('f-latency', sorted.length ? `${duration(quantile(sorted, 0.5))} / ${duration(quantile(sorted, 0.95))}` : '–');
  set('f-extra', run.extraTries.toLocaleString());
  set('f-cost', finished === 0 ? '–' : run.cost > 0 || run.costMissing === 0 ? `${money(run.cost)}${run.costMissing ? ' +' : ''}` : 'no price');
  $('f-cost').title = run.costMissing ? `${run.costMissing} without a known price` : '';
  set('f-time', `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`);
  legend.forEach((button, state) => {
    const text = counts[state].toLocaleString();
    if (button.lastChild.textContent !== text) button.lastChild.textContent = text;
  });
  showBar(counts, total, finished);
  $('throughput').setAttribute('aria-label', `Throughput: ${run.ends.length} finished in ${seconds} seconds, ${run.inFlight} in flight`);
  $('latency').setAttribute('aria-label', `Latency: median ${duration(quantile(sorted, 0.5))}, 95th centile ${duration(quantile(sorted, 0.95))}`);
}

function showBar(counts, total, finished) {
  const share = (count) => `${(100 * count) / Math.max(1, total)}%`;
  const [done, failed, live] = $('bar').children;
  done.style.width = share(counts[State.done]);
  failed.style.width = share(counts[State.failed] + counts[State.cancelled]);
  live.style.width = share(run.inFlight + counts[State.retrying]);
  $('bar').setAttribute('aria-valuenow', String(Math.round((100 * finished) / Math.max(1, total))));
  $('bar').setAttribute('aria-valuetext', `${finished} of ${total} done, ${counts[State.failed]} failed`);
  if (run.phase !== 'ready') document.title = run.phase === 'over' ? 'sheaf: finished' : `${Math.floor((100 * finished) / total)}% · sheaf`;
}

let lastSaid = 0, saidAt = 0;

function say(words) {
  $('said').textContent = words;
  saidAt = performance.now();
}

/** Progress in words: at every tenth, and at most every three seconds. */
function sayProgress() {
  const tenth = Math.floor((10 * run.finished) / run.total);
  if (tenth <= lastSaid || performance.now() - saidAt < 3000 || run.phase === 'over') return;
  lastSaid = tenth;
  say(`${run.finished} of ${run.total} done${run.counts[State.failed] ? `, ${run.counts[State.failed]} failed` : ''}.`);
}

let figuresAt = 0;

function frame() {
  const isOver = run.phase === 'over', now = performance.now();
  for (const view of views) view.frame(isOver);
  if (isOver || now - figuresAt > 100) {
    figuresAt = now;
    showFigures();
    showControls();
    sayProgress();
  }
  // Cells still settle for a moment after the end.
  if (!isOver || now - run.ended < 600) requestAnimationFrame(frame);
}

// ---- One request in full ----

function open(i) {
  const result = run.results[i], state = run.state[i];
  $('detail-title').textContent = run.rows[i].request.customId;
  $('detail-state').replaceChildren(glyph(states[state].key), states[state].name);
  $('detail-prompt').textContent = run.rows[i].label;
  $('detail-what').textContent = result?.error ? 'Error' : 'Answer';
  $('detail-text').textContent = result?.error ? `${result.error.class}: ${result.error.message}` : run.texts[i] || '–';
  const { inputTokens, outputTokens } = result?.usage ?? {};
  const figures = [
    ['Model', result?.model || '–'], ['Tries', run.attempts[i]], ['Refused by a rate limit', result?.throttles ?? '–'],
    ['Tokens in / out', inputTokens === undefined ? '–' : `${inputTokens} / ${outputTokens ?? '?'}`],
    ['Latency of the last try', result?.attempted ? duration(result.latencyMs) : '–'], ['First token', duration(result?.ttftMs)],
    ['In all', duration(result?.totalMs)], ['Cost', money(result?.cost)], ['Billing', result?.billing ?? '–'],
    ['HTTP status', result?.error ? result.error.status || 'none' : '–'], ['Finish', result?.finishReason || '–'],
    ['Request id', result?.requestId || '–'],
  ];
  $('detail-figures').replaceChildren(...figures.map(([name, value]) => {
    const pair = document.createElement('div'), term = document.createElement('dt'), given = document.createElement('dd');
    term.textContent = name;
    given.textContent = String(value);
    pair.append(term, given);
    return pair;
  }));
  $('detail').showModal();
}

// ---- Results as a file ----

/** As the command writes it: `sheaf run REQUESTS -o results.jsonl` goes on with it. What was never sent has no line. */
function download() {
  const lines = run.results.filter((result) => result?.line).map((result) => `${result.line}\n`);
  const address = URL.createObjectURL(new Blob(lines, { type: 'application/x-ndjson' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = 'results.jsonl';
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  say(`${lines.length} results downloaded.`);
}

// ---- What the person does ----

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void start();
});
form.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
$('pause').addEventListener('click', () => {
  if (run.phase === 'paused') run.resume();
  else run.pause();
  showControls();
  say(run.phase === 'paused' ? `Paused. What is in flight ends, ${run.queue.length + run.held.size} wait.` : 'Running again.');
});
$('cancel').addEventListener('click', () => {
  run.cancel();
  showControls();
});
$('download').addEventListener('click', download);
$('choose').addEventListener('click', () => $('file').click());
$('file').addEventListener('change', () => {
  if ($('file').files[0]) void openFile($('file').files[0]);
  $('file').value = '';
});
$('sample').addEventListener('click', () => {
  fileFormat = undefined;
  fields.format.value = 'auto';
  fields.input.value = sample(200);
  readInput();
});
fields.input.addEventListener('input', () => {
  if (fields.input.value === '') fileFormat = undefined;
  readInput();
});
for (const name of ['format', 'template']) fields[name].addEventListener('input', readInput);
fields.preset.addEventListener('change', showPreset);
for (const name of ['baseURL', 'apiKey']) fields[name].addEventListener('input', showHints);
addEventListener('dragover', (event) => {
  event.preventDefault();
  $('drop').classList.add('over');
});
addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) $('drop').classList.remove('over');
});
addEventListener('drop', (event) => {
  event.preventDefault();
  $('drop').classList.remove('over');
  const [file] = event.dataTransfer.files;
  const text = event.dataTransfer.getData('text/plain');
  if (file) void openFile(file);
  else if (text) {
    fields.input.value = text;
    readInput();
  }
});
addEventListener('beforeunload', (event) => {
  if (run.phase !== 'ready' && run.phase !== 'over') event.preventDefault();
});

fields.input.value ||= sample(200);
showPreset();
readInput();
showControls();
