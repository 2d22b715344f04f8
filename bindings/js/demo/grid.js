// grid.js: the live grid: a cell a request, as large as they fit; arrow keys and the pointer say what a cell is.

import { colours, drawCell, fitted, onTheme } from './cells.js';
import { State, states } from './run.js';

const heightMax = 264, sizeMax = 22, sizeMin = 4, popMs = 320;
const isStill = matchMedia('(prefers-reduced-motion: reduce)');

/** `describe(i)` says a cell in words, `open(i)` shows all of it. */
export function makeGrid(canvas, tip, { describe, open }) {
  let run, palette = colours(), size = sizeMax, across = 1, cursor = -1, pointed = -1, drawn = -1;
  let isMoving = false;

  // Places are whole pixels, so that edges are sharp; sizes are not, so that rows are as wide as the page.
  const placeOf = (i) => [Math.round((i % across) * size), Math.round(Math.floor(i / across) * size)];

  function lay() {
    const width = canvas.parentElement.clientWidth, count = run?.total ?? 0;
    size = sizeMax;
    while (size > sizeMin && Math.ceil(count / Math.floor(width / size)) * size > heightMax) size--;
    across = Math.max(1, Math.floor(width / size));
    size = width / across;
    const height = Math.max(size, Math.ceil(count / across) * size);
    canvas.style.height = `${height}px`;
    return { width, height };
  }

  function draw() {
    const { width, height } = lay();
    const context = fitted(canvas, width, height);
    if (!context || !run) return;
    const now = performance.now(), inner = Math.floor(size) - Math.max(1, Math.round(size * 0.16));
    isMoving = false;
    for (let i = 0; i < run.total; i++) {
      const [x, y] = placeOf(i), state = run.state[i];
      const age = (now - run.changed[i]) / popMs;
      let edge = inner;
      if (age < 1 && !isStill.matches && size >= 7) {
        isMoving = true;
        edge = inner * (state === State.done || state === State.failed ? 1 + 0.22 * Math.sin(Math.PI * age) * (1 - age) : 0.7 + 0.3 * age);
      }
      const inset = (inner - edge) / 2;
      // Nobody knows how long an answer gets: it fills quickly at first and never quite.
      const level = state === State.streaming ? 1 - Math.exp(-run.texts[i].length / 160) * 0.9 : 0;
      drawCell(context, states[state].key, x + inset, y + inset, edge, palette.states[state], palette.card, level);
    }
    const marked = pointed >= 0 ? pointed : document.activeElement === canvas ? cursor : -1;
    if (marked >= 0 && marked < run.total) {
      context.strokeStyle = palette.ink;
      context.lineWidth = 1.5;
      const [x, y] = placeOf(marked);
      context.strokeRect(x - 1, y - 1, inner + 2, inner + 2);
    }
    drawn = run.version;
  }

  function tell(i) {
    tip.hidden = !run || i < 0 || i >= run.total;
    if (!tip.hidden) tip.textContent = describe(i);
    draw();
  }

  function cellAt(event) {
    if (!run) return -1;
    const box = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / size), row = Math.floor((event.clientY - box.top) / size);
    const i = row * across + column;
    return column >= 0 && column < across && i >= 0 && i < run.total ? i : -1;
  }

  canvas.addEventListener('pointermove', (event) => {
    const i = cellAt(event);
    if (i !== pointed) tell((pointed = i));
  });
  canvas.addEventListener('pointerleave', () => tell((pointed = -1)));
  canvas.addEventListener('click', (event) => {
    const i = cellAt(event);
    if (i >= 0) open((cursor = i));
  });
  canvas.addEventListener('focus', () => {
    if (run && cursor < 0) cursor = 0;
    tell(cursor);
  });
  canvas.addEventListener('blur', () => tell(-1));
  canvas.addEventListener('keydown', (event) => {
    if (!run) return;
    const last = run.total - 1;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined) {
      const next = Math.max(0, Math.min(last, cursor + step));
      if (Math.abs(step) !== across || cursor + step === next) cursor = next;
      tell(cursor);
    } else if (event.key === 'Enter' && cursor >= 0) {
      open(cursor);
    } else {
      return;
    }
    event.preventDefault();
  });
  new ResizeObserver(draw).observe(canvas.parentElement);
  onTheme(() => {
    palette = colours();
    draw();
  });

  return {
    show(next) {
      run = next;
      [cursor, pointed] = [-1, -1];
      tell(-1);
    },
    /** Draws when something changed or still moves. */
    frame() {
      if (!run || (run.version === drawn && !isMoving)) return;
      draw();
      const marked = pointed >= 0 ? pointed : document.activeElement === canvas ? cursor : -1;
      if (marked >= 0 && !tip.hidden) {
        const words = describe(marked);
        if (tip.textContent !== words) tip.textContent = words;
      }
    },
  };
}
