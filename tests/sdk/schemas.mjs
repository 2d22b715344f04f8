// schemas.mjs: JSON Schemas to ask answers for: those of schemas.json, and as many drawn ones as a
// test wants, from a seed. A drawn one can always be met: bounds leave room, and recursion can end.
import { readFileSync } from 'node:fs';

export const corpus = JSON.parse(readFileSync(new URL('schemas.json', import.meta.url)));

// mulberry32: small, and the same everywhere.
function draws(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    below: (n) => Math.floor(next() * n),
    chance: (share) => next() < share,
  };
}

const formats = 'date-time date time email uuid ipv4 ipv6 hostname duration'.split(' ');
const names = ['id', 'name', 'kind', 'total', 'notes', 'from', 'to', 'score', 'tags', 'with space'];

const scalars = [
  () => ({ type: 'boolean' }),
  () => ({ type: 'null' }),
  (draw) => ({ type: 'string', enum: ['north', 'east', 'south', 'west'].slice(draw.below(4)) }),
  (draw) => ({ type: 'string', format: formats[draw.below(formats.length)] }),
  (draw) => {
    const minLength = draw.below(40);
    return { type: 'string', minLength, maxLength: minLength + draw.below(3) };
  },
  (draw) => {
    const minimum = draw.below(2000) - 1000;
    return { type: 'integer', minimum, maximum: minimum + draw.below(3) };
  },
  (draw) => {
    const exclusiveMinimum = (draw.below(2000) - 1000) / 8;
    return { type: 'number', exclusiveMinimum, exclusiveMaximum: exclusiveMinimum + 0.125 };
  },
  (draw) => ({ type: 'integer', multipleOf: 1 + draw.below(30), minimum: draw.below(100) }),
  (draw) => ({ const: ['fixed', 17, null, true][draw.below(4)] }),
  () => ({ type: ['string', 'null'] }),
];

function drawObject(draw, depth) {
  const properties = {};
  const from = draw.below(names.length);
  for (let i = draw.below(5); i >= 0; i--) {
    properties[names[(from + i) % names.length]] = drawNode(draw, depth + 1);
  }
  return {
    type: 'object',
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  };
}

function drawNode(draw, depth) {
  if (depth < 4 && draw.chance(0.25)) return drawObject(draw, depth);
  if (depth < 4 && draw.chance(0.2)) {
    const minItems = draw.below(4);
    const items = drawNode(draw, depth + 1);
    return { type: 'array', items, minItems, maxItems: minItems + draw.below(3) };
  }
  if (depth < 4 && draw.chance(0.15)) {
    return { anyOf: [drawNode(draw, depth + 1), drawNode(draw, depth + 1)] };
  }
  if (draw.chance(0.12)) return { $ref: `#/$defs/d${draw.below(2)}` };
  return scalars[draw.below(scalars.length)](draw);
}

/** The n-th drawn schema: an object in the subset that every provider takes. */
export function drawnSchema(n) {
  const draw = draws(20261121 + n);
  const root = drawObject(draw, 0);
  const end = { anyOf: [{ $ref: '#/$defs/d1' }, { type: 'null' }] };
  root.$defs = {
    d0: { type: 'string', enum: ['defined'] },
    d1: {
      type: 'object',
      properties: { value: scalars[draw.below(scalars.length)](draw), next: end },
      required: ['value', 'next'],
      additionalProperties: false,
    },
  };
  return root;
}
