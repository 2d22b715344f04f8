// tokens.test.mjs: sheaf/tokens in Node, beside the native tokenizer and beside gpt-tokenizer, a work of others.
//
//   SHEAF_JS_PACKAGE    the folder that build.mjs made
//   SHEAF_TOKENS_TOOL   tokens_tool of the native build
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';

import { encode as peerCl100k } from 'gpt-tokenizer/encoding/cl100k_base';
import { encode as peerO200k } from 'gpt-tokenizer/encoding/o200k_base';

import { nativeIds, texts } from './tokens_texts.mjs';

const { SHEAF_JS_PACKAGE: packageDir, SHEAF_TOKENS_TOOL: tool } = process.env;
if (!packageDir || !tool) throw new Error('SHEAF_JS_PACKAGE and SHEAF_TOKENS_TOOL must be set; scripts/js does it');
const dist = join(packageDir, 'dist'), file = (name) => join(dist, 'tokens', `${name}.bin`);
const imported = (path) => import(pathToFileURL(join(dist, path)));
const { buildVocabulary, encodingOfModel, loadEncoding, SheafError } = await imported('tokens-node.js');
const names = ['o200k_base', 'o200k_harmony', 'cl100k_base', 'p50k_base', 'p50k_edit', 'r50k_base', 'gpt2'];

const o200k = await loadEncoding('o200k_base');
const list = texts(3000, packageDir);
const same = (found, expected, text) => assert.deepEqual(Array.from(found), Array.from(expected), JSON.stringify(text));
const hasCode = (code) => (error) => error instanceof SheafError && error.code === code;

for (const name of names)
  test(`${name}: ids are the native ones`, async () => {
    const tokenizer = await loadEncoding(name);
    assert.equal(tokenizer.name, name);
    const some = name === 'o200k_base' || name === 'cl100k_base' ? list : list.slice(0, 300);
    const native = nativeIds(tool, file(name), some);
    some.forEach((text, i) => same(tokenizer.encode(text), native[i], text));
  });

for (const [name, peer] of [['o200k_base', peerO200k], ['cl100k_base', peerCl100k]])
  test(`${name}: ids are those of gpt-tokenizer`, async () => {
    const tokenizer = await loadEncoding(name);
    // Its white space is JavaScript's \s, in which U+FEFF is and U+0085 is not; the models' is Unicode's, the other way about.
    for (const text of list.filter((text) => !/[\ufeff\u0085]/.test(text))) same(tokenizer.encode(text), peer(text, { disallowedSpecial: new Set() }), text);
  });

test('a count is the number of ids, and decoding gives the text back', () => {
  for (const text of list) {
    const ids = o200k.encode(text);
    assert.equal(o200k.count(text), ids.length);
    assert.equal(o200k.decode(ids), text);
  }
});

test('long texts: plain, and with three bytes to a letter', () => {
  for (const unit of ['The quick brown fox. ', '漢字かな交じり文。', 'a👍']) {
    const text = unit.repeat(60000), ids = o200k.encode(text);
    assert.equal(o200k.decode(ids), text);
    assert.equal(o200k.count(text), ids.length);
    same(o200k.encode(Buffer.from(text)), ids, unit);
  }
});

test('what was given before changes nothing', () => {
  const [first, ...others] = ['hello wonderful world', 'x'.repeat(100000), '', 'hello'];
  const ids = o200k.encode(first);
  for (const text of others) o200k.encode(text);
  same(o200k.encode(first), ids, first);
});

test('ids handed out stay as they are', () => {
  const ids = o200k.encode('one two three'), before = Array.from(ids);
  o200k.encode('something else altogether');
  assert.deepEqual(Array.from(ids), before);
});

test('bytes that are no text have ids that decode to them', () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  const ids = o200k.encode(bytes);
  assert.deepEqual(o200k.decodeBytes(ids), bytes);
});

test('half a surrogate pair counts as U+FFFD, as in tiktoken', () => {
  for (const text of ['\ud83d', 'a\udc4d b', 'x'.repeat(20000) + '\ud83d']) same(o200k.encode(text), o200k.encode(text.replace(/[\ud83d\udc4d]/, '\ufffd')), text);
});

test('ids that end within a character decode to U+FFFD', () => {
  const ids = o200k.encode('\u{1f9ff}');
  assert.ok(ids.length > 1);
  assert.equal(o200k.decode(ids.subarray(0, 1)), '\ufffd');
});

test('special tokens: text, ids or an error, as one says', () => {
  const text = 'a<|endoftext|>';
  // 199999 and 100257: tiktoken_ext/openai_public.py.
  same(o200k.encode(text, { special: 'allow' }), [...o200k.encode('a'), 199999], text);
  assert.ok(o200k.encode(text).length > 3);
  same(o200k.encode(text, { special: 'text' }), o200k.encode(text), text);
  assert.throws(() => o200k.encode(text, { special: 'refuse' }), hasCode('E_FIELD'));
  assert.throws(() => o200k.count(text, { special: 'refuse' }), hasCode('E_FIELD'));
  assert.equal(o200k.count(text, { special: 'allow' }), 2);
  assert.throws(() => o200k.encode(text, { special: 'maybe' }), hasCode('E_RANGE'));
  assert.equal(o200k.decode([199999]), '<|endoftext|>');
});

test('a limit ends counting early, just above it or later', () => {
  const text = 'word '.repeat(10000), whole = o200k.count(text);
  const some = o200k.count(text, { limit: 100 });
  assert.ok(some > 100 && some < whole);
  assert.equal(o200k.count(text, { limit: whole }), whole);
  assert.equal(o200k.count(text, { limit: Infinity }), whole);
  assert.ok(o200k.count('a b c', { limit: 0 }) > 0);
  for (const limit of [-1, NaN]) assert.throws(() => o200k.count(text, { limit }), hasCode('E_RANGE'));
});

test('an id that there is not is refused', () => {
  assert.throws(() => o200k.decode([o200k.size]), hasCode('E_NOT_FOUND'));
  assert.equal(o200k.decode([]), '');
});

test('messages count as a chat bills them', () => {
  // Three tokens a message and three for the reply to come: OpenAI's cookbook, "How to count tokens with tiktoken".
  const messages = [{ role: 'system', content: 'You are terse.' }, { role: 'user', content: 'Why is the sky blue?' }];
  const expected = messages.reduce((sum, { role, content }) => sum + 3 + o200k.count(role) + o200k.count(content), 3);
  const counted = { tokens: expected, isEstimate: false };
  assert.deepEqual(o200k.countMessages(messages), counted);
  assert.deepEqual(o200k.countBody({ model: 'gpt-5', messages }), counted);
  assert.deepEqual(o200k.countBody(JSON.stringify({ messages })), counted);
  assert.deepEqual(o200k.countBody(Buffer.from(JSON.stringify({ messages }))), counted);
  const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
  assert.equal(o200k.countBody({ messages, tools }).isEstimate, true);
  assert.throws(() => o200k.countBody('{"messages": ]}'), hasCode('E_SYNTAX'));
});

test('an encoding by its import, by bytes, by address', async () => {
  const { default: encoding } = await imported('tokens/r50k_base.node.js');
  assert.equal(encoding.name, 'r50k_base');
  const bytes = readFileSync(file('r50k_base'));
  for (const source of [encoding, bytes, Uint8Array.from(bytes).buffer, new Response(bytes)]) {
    const tokenizer = await loadEncoding(source);
    assert.equal(tokenizer.name, 'r50k_base');
    same(tokenizer.encode('hello world'), [31373, 995], 'hello world'); // GPT-2's, as its paper's code prints them
    tokenizer.close();
  }
});

test('what is no vocabulary is refused', async () => {
  const bytes = readFileSync(file('r50k_base'));
  for (const at of [0, 13, 5000, bytes.length - 1]) {
    const damaged = Uint8Array.from(bytes);
    damaged[at] ^= 1;
    await assert.rejects(loadEncoding(damaged), hasCode('E_CORRUPT'));
  }
  await assert.rejects(loadEncoding(bytes.subarray(0, 100)), hasCode('E_CORRUPT'));
  await assert.rejects(loadEncoding(new Uint8Array(0)), hasCode('E_CORRUPT'));
  await assert.rejects(loadEncoding('o300k'), hasCode('E_NOT_FOUND'));
  await assert.rejects(loadEncoding({}), hasCode('E_FIELD'));
});

test('models have the encodings that tiktoken gives them', async () => {
  const rows = { 'gpt-5-mini': 'o200k_base', 'gpt-4': 'cl100k_base', 'gpt-oss-20b': 'o200k_harmony', 'text-davinci-003': 'p50k_base', 'gpt-2': 'gpt2' };
  for (const [model, name] of Object.entries(rows)) assert.deepEqual(await encodingOfModel(model), { name, isEstimate: false }, model);
  assert.deepEqual(await encodingOfModel('claude-sonnet-4'), { name: 'o200k_base', isEstimate: true });
});

const rankLine = (bytes, rank) => `${Buffer.from(bytes).toString('base64')} ${rank}\n`;
const ranks = Array.from({ length: 256 }, (_, i) => rankLine([i], i)).join('') + rankLine('ab', 256) + rankLine('abc', 257);

test('a vocabulary of one\'s own', async () => {
  const built = await buildVocabulary(Buffer.from(ranks), 'mine', 'none');
  const tokenizer = await loadEncoding(built);
  assert.equal(tokenizer.name, 'mine');
  assert.equal(tokenizer.size, 258);
  same(tokenizer.encode('abcab '), [257, 256, 32], 'abcab ');
});

test('ranks that contradict themselves are refused, and it says where', async () => {
  await assert.rejects(buildVocabulary(Buffer.from(`${ranks}!!! 258\n`), 'mine', 'none'),
    (error) => error.code === 'E_SYNTAX' && error.message.includes(`at byte ${ranks.length}`));
  await assert.rejects(buildVocabulary(Buffer.from(ranks), 'mine', 'such a pattern'), hasCode('E_NOT_FOUND'));
  await assert.rejects(buildVocabulary(Buffer.from(ranks + rankLine('ab', 258)), 'mine', 'none'), hasCode('E_FIELD'));
});

test('a closed tokenizer says so, and others go on', async () => {
  const one = await loadEncoding('gpt2'), other = await loadEncoding('gpt2');
  one.close();
  one.close();
  for (const act of [() => one.encode('a'), () => one.count('a'), () => one.decode([1]), () => one.countBody({})]) assert.throws(act, hasCode('E_MISUSE'));
  assert.equal(other.count('hello world'), 2);
});
