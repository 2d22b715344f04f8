// cells.js: the shapes of states, as canvas paths and as the same small pictures in HTML: never colour alone.
//
//   waiting  a dot        in flight  a ring       streaming  a box that fills up    retrying  a ring with a slash
//   done     a full box   failed     a box with a cross cut out                     cancelled a dash

import { states } from './run.js';

/** The page's colours, read anew when the theme changes. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    states: states.map(({ key }) => of(`state-${key}`)), card: of('card'), ink: of('ink'), soft: of('soft'), line: of('line'),
    accent: of('accent'), focus: of('focus'),
  };
}

/** Calls back when light turns to dark, or a screen's density changes. */
export function onTheme(act) {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', act);
}

/** Draws one cell of `size` at x, y. `level`: how full a streaming one is, 0 to 1. */
export function drawCell(context, key, x, y, size, colour, card, level = 0.6) {
  const line = Math.max(1, size * 0.13), radius = size * 0.24;
  context.fillStyle = context.strokeStyle = colour;
  context.lineWidth = line;
  if (size < 7) {
    drawSmall(context, key, x, y, size, card, level);
    return;
  }
  const box = (inset) => {
    context.beginPath();
    context.roundRect(x + inset, y + inset, size - 2 * inset, size - 2 * inset, Math.max(0, radius - inset));
  };
  if (key === 'waiting') {
    context.beginPath();
    context.arc(x + size / 2, y + size / 2, size * 0.15, 0, 7);
    context.fill();
  } else if (key === 'flight' || key === 'retrying') {
    box(line / 2);
    context.stroke();
    if (key === 'retrying') {
      context.beginPath();
      context.moveTo(x + size * 0.28, y + size * 0.72);
      context.lineTo(x + size * 0.72, y + size * 0.28);
      context.stroke();
    }
  } else if (key === 'streaming') {
    box(line / 2);
    context.stroke();
    context.save();
    box(0);
    context.clip();
    context.fillRect(x, y + size * (1 - level), size, size * level);
    context.restore();
  } else if (key === 'done') {
    box(0);
    context.fill();
  } else if (key === 'failed') {
    box(0);
    context.fill();
    context.strokeStyle = card;
    context.beginPath();
    for (const way of [1, -1]) {
      context.moveTo(x + size * 0.3, y + size * (0.5 - way * 0.2));
      context.lineTo(x + size * 0.7, y + size * (0.5 + way * 0.2));
    }
    context.stroke();
  } else {
    context.fillRect(x + size * 0.2, y + size * 0.5 - line / 2, size * 0.6, line);
  }
}

/** Where there is no room for shapes: what is left is full, half, hollow, or a speck. */
function drawSmall(context, key, x, y, size, card, level) {
  if (key === 'waiting' || key === 'cancelled') context.fillRect(x + size * 0.35, y + size * 0.35, size * 0.3, size * 0.3);
  else if (key === 'streaming') context.fillRect(x, y + size * (1 - level), size, size * level);
  else context.fillRect(x, y, size, size);
  if (key === 'done' || key === 'streaming') return;
  context.fillStyle = card;
  if (key === 'flight' || key === 'retrying') context.fillRect(x + size * 0.25, y + size * 0.25, size * 0.5, size * 0.5);
  else if (key === 'failed') context.fillRect(x + size * 0.4, y + size * 0.4, size * 0.2, size * 0.2);
}

/** The same shape as an element, for legends and rows; its colours follow the theme by itself. */
export function glyph(key) {
  const element = document.createElement('span');
  element.className = `glyph ${key}`;
  element.setAttribute('aria-hidden', 'true');
  return element;
}

/** Fits a canvas to its box at the screen's density; answers its context and size, or nothing while it has none. */
export function fitted(canvas, width, height) {
  const density = devicePixelRatio || 1;
  if (width <= 0 || height <= 0) return undefined;
  const wide = Math.round(width * density), high = Math.round(height * density);
  if (canvas.width !== wide) canvas.width = wide;
  if (canvas.height !== high) canvas.height = high;
  const context = canvas.getContext('2d');
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
