// table.js: the results, of which only the rows in sight exist. One stop of the Tab key; arrow keys move within.

import { duration } from './charts.js';
import { glyph } from './cells.js';
import { State, states } from './run.js';

const columns = [
  { key: 'state', name: 'State' },
  { key: 'id', name: 'Request' },
  { key: 'text', name: 'Answer or error' },
  { key: 'tokens', name: 'Tokens', title: 'in / out' },
  { key: 'latency', name: 'Latency' },
  { key: 'tries', name: 'Tries' },
  { key: 'cost', name: 'Cost' },
];

export function money(dollars) {
  if (dollars === undefined) return '–';
  return dollars === 0 ? '$0' : dollars < 0.01 ? `$${dollars.toPrecision(2)}` : `$${dollars.toFixed(dollars < 1 ? 4 : 2)}`;
}

function element(tag, role, className, text) {
  const made = document.createElement(tag);
  if (role) made.setAttribute('role', role);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function makeTable(host, { open }) {
  let run, filter = -1, shown = [], drawn = -1, first = -1, active = -1;
  const pool = [];

  host.setAttribute('role', 'grid');
  host.setAttribute('aria-label', 'Results');
  host.setAttribute('aria-colcount', String(columns.length));
  host.tabIndex = 0;
  const head = element('div', 'row', 'head');
  for (const { key, name, title } of columns) {
    const cell = element('span', 'columnheader', key, name);
    if (title) cell.append(element('small', '', '', ` ${title}`));
    head.append(cell);
  }
  const body = element('div', 'rowgroup', 'body');
  const empty = element('p', '', 'empty', 'No prompts yet.');
  host.append(head, body, empty);

  const rowHeight = () => parseFloat(getComputedStyle(host).getPropertyValue('--row')) || 40;

  function select() {
    shown = [];
    if (!run) return;
    for (let i = 0; i < run.total; i++) if (filter < 0 || run.state[i] === filter) shown.push(i);
  }

  function makeRow(at) {
    const row = element('div', 'row', 'line');
    row.id = `row-${at}`;
    row.cells = Object.fromEntries(columns.map(({ key }) => [key, row.appendChild(element('span', 'gridcell', key))]));
    row.addEventListener('click', () => {
      active = row.place;
      open(row.index);
      draw();
    });
    body.append(row);
    return row;
  }

  function fill(row, place, i) {
    const { state, id, text, tokens, latency, tries, cost } = row.cells;
    const result = run.results[i], now = run.state[i];
    row.place = place;
    row.index = i;
    row.hidden = false;
    row.style.transform = `translateY(${place * rowHeight()}px)`;
    row.setAttribute('aria-rowindex', String(place + 2));
    row.classList.toggle('active', place === active);
    if (row.state !== now) {
      row.state = now;
      state.replaceChildren(glyph(states[now].key), element('span', '', '', states[now].name));
    }
    id.textContent = run.rows[i].request.customId;
    const isFailed = now === State.failed;
    const words = isFailed ? `${result.error.class}: ${result.error.message}` : run.texts[i] || run.rows[i].label;
    text.textContent = words.length > 300 ? `${words.slice(0, 300)}…` : words;
    text.className = isFailed ? 'text bad' : run.texts[i] ? 'text' : 'text faint';
    const { inputTokens, outputTokens } = result?.usage ?? {};
    tokens.textContent = inputTokens === undefined && outputTokens === undefined ? '–' : `${inputTokens ?? '?'} / ${outputTokens ?? '?'}`;
    latency.textContent = result?.attempted ? duration(result.latencyMs) : '–';
    tries.textContent = run.attempts[i] || '–';
    cost.textContent = money(result?.cost);
  }

  function draw() {
    const high = rowHeight(), count = shown.length;
    empty.hidden = count > 0;
    if (run && count === 0) empty.textContent = filter < 0 ? 'No prompts yet.' : 'None is in this state.';
    body.style.height = `${count * high}px`;
    host.setAttribute('aria-rowcount', String(count + 1));
    first = Math.max(0, Math.floor(host.scrollTop / high) - 2);
    const sight = Math.ceil(host.clientHeight / high) + 5, last = Math.min(count, first + sight);
    while (pool.length < last - first) pool.push(makeRow(pool.length));
    pool.forEach((row, k) => {
      if (first + k < last) fill(row, first + k, shown[first + k]);
      else row.hidden = true;
    });
    const marked = pool.find((row) => !row.hidden && row.place === active);
    if (marked && document.activeElement === host) host.setAttribute('aria-activedescendant', marked.id);
    else host.removeAttribute('aria-activedescendant');
    drawn = run?.version ?? -1;
  }

  function move(to) {
    if (shown.length === 0) return;
    const high = rowHeight();
    active = Math.max(0, Math.min(shown.length - 1, to));
    const top = active * high, room = host.clientHeight - head.offsetHeight;
    if (top < host.scrollTop) host.scrollTop = top;
    else if (top + high > host.scrollTop + room) host.scrollTop = top + high - room;
    draw();
  }

  host.addEventListener('scroll', draw, { passive: true });
  host.addEventListener('focus', () => (active < 0 ? move(0) : draw()));
  host.addEventListener('keydown', (event) => {
    const page = Math.max(1, Math.floor(host.clientHeight / rowHeight()) - 2);
    const to = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: Infinity }[event.key];
    if (to !== undefined) move(to);
    else if (event.key === 'Enter' && shown[active] !== undefined) open(shown[active]);
    else return;
    event.preventDefault();
  });
  new ResizeObserver(draw).observe(host);

  return {
    show(next) {
      run = next;
      [active, host.scrollTop] = [-1, 0];
      select();
      draw();
    },
    /** Rows of one state alone; -1: all. */
    filter(state) {
      filter = state;
      [active, host.scrollTop] = [-1, 0];
      select();
      draw();
    },
    frame() {
      if (!run || run.version === drawn) return;
      if (filter >= 0) select();
      draw();
    },
  };
}
