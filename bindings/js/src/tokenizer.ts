// tokenizer.ts: text to tokens and back: sheaf-tokens.wasm with one vocabulary.
//
// Every tokenizer has an instance of the module to itself, so that its memory goes with it.

import { SheafError } from './errors.js';

/** What becomes of the texts of special tokens, like `<|endoftext|>`. */
export interface EncodeOptions {
  /**
   * `text`: they are ordinary text. `allow`: they become their ids. `refuse`: the call throws. Default `text`, which is
   * right for whatever users wrote.
   */
  special?: 'text' | 'allow' | 'refuse';
}

export interface CountOptions extends EncodeOptions {
  /** Stops soon after the count is above it, and answers a number above it. */
  limit?: number;
}

/** The input tokens of a request. */
export interface BodyCount {
  tokens: number;
  /** It holds what cannot be counted to the token: tools, images, files. */
  isEstimate: boolean;
}

/** The module's calls; token_exports.h describes them. @internal */
export interface TokenCalls {
  memory: WebAssembly.Memory;
  _initialize(): void;
  sheaf_tok_alloc(bytes: number): number;
  sheaf_tok_free(address: number): void;
  sheaf_tok_open(file: number, bytes: number): number;
  sheaf_tok_name(vocab: number): number;
  sheaf_tok_size(vocab: number): number;
  sheaf_tok_count(vocab: number, text: number, bytes: number, special: number, limit: number): number;
  sheaf_tok_encode(vocab: number, text: number, bytes: number, special: number): number;
  sheaf_tok_decode(vocab: number, ids: number, count: number): number;
  sheaf_tok_count_body(vocab: number, body: number, bytes: number): number;
  sheaf_tok_build(
    source: number, bytes: number, name: number, nameBytes: number, pattern: number, patternBytes: number,
  ): number;
  sheaf_tok_data(vocab: number): number;
  sheaf_tok_encoding(model: number, bytes: number): number;
  sheaf_tok_explain(status: number): number;
}

/** What is used of Node's Buffer, which writes short texts several times faster than the encoder. */
interface ByteText {
  write(text: string, offset: number, length: number, encoding: 'utf8'): number;
}
const { Buffer: buffers } = globalThis as { Buffer?: { from?: (memory: ArrayBufferLike) => ByteText } };

const SHORT = 1 << 14; // letters of a text that gets room for the worst there may be
const KEPT_BYTES = 1 << 20; // more than this is given back after the call that needed it
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const specials = ['text', 'allow', 'refuse'];
const ANY_COUNT = 0xffffffff; // the limit that is none
const LEAST = -(2 ** 31); // the answers of sheaf_tok_count_body below this are codes

/** An instance of the module, and room in it for what goes in. @internal */
export class TokenModule {
  private bytes!: Uint8Array;
  private buffer: ByteText | undefined;
  private room = 0;
  /** Where `put` puts things. */
  at = 0;

  constructor(readonly calls: TokenCalls) {
    calls._initialize();
    this.view();
  }

  private view(): void {
    this.bytes = new Uint8Array(this.calls.memory.buffer);
    this.buffer = buffers?.from?.(this.calls.memory.buffer);
  }

  /** Memory that grew leaves its old views empty. */
  private get memory(): Uint8Array {
    if (this.bytes.length === 0) this.view();
    return this.bytes;
  }

  private reserve(bytes: number): void {
    if (bytes <= this.room) return;
    if (this.at) this.calls.sheaf_tok_free(this.at);
    this.room = 0;
    this.at = this.calls.sheaf_tok_alloc(bytes);
    if (!this.at) throw new SheafError(`no memory for a text of ${bytes} bytes`, 'E_NOMEM');
    this.room = bytes;
  }

  /** Gives back the room of a long text. */
  trim(): void {
    if (this.room <= KEPT_BYTES) return;
    this.calls.sheaf_tok_free(this.at);
    this.room = this.at = 0;
  }

  /** Puts a text or bytes at `at` and tells how many bytes it has. What is no UTF-16 becomes U+FFFD, as everywhere. */
  put(text: string | Uint8Array): number {
    if (typeof text !== 'string') return this.putBytes(text);
    if (text.length > SHORT) return this.putLong(text);
    this.reserve(3 * text.length || 1);
    const { memory } = this;
    if (this.buffer) return this.buffer.write(text, this.at, 3 * text.length, 'utf8');
    return encoder.encodeInto(text, memory.subarray(this.at, this.at + this.room)).written;
  }

  private putBytes(text: Uint8Array): number {
    this.reserve(text.length || 1);
    this.memory.set(text, this.at);
    return text.length;
  }

  private putLong(text: string): number {
    this.reserve(text.length + (text.length >>> 3));
    const { read, written } = encoder.encodeInto(text, this.memory.subarray(this.at, this.at + this.room));
    if (read === text.length) return written;
    // Mostly not ASCII: what is known already tells nothing of the rest.
    this.reserve(3 * text.length);
    return encoder.encodeInto(text, this.memory.subarray(this.at, this.at + this.room)).written;
  }

  putIds(ids: ArrayLike<number>): void {
    this.reserve(4 * ids.length || 4);
    new Uint32Array(this.memory.buffer, this.at, ids.length).set(ids);
  }

  /** A copy of what a call left. */
  copy(vocab: number, bytes: number): Uint8Array<ArrayBuffer> {
    const at = this.calls.sheaf_tok_data(vocab);
    return new Uint8Array(this.memory.subarray(at, at + bytes));
  }

  copyIds(vocab: number, count: number): Uint32Array<ArrayBuffer> {
    if (count === 0) return new Uint32Array(0);
    return new Uint32Array(new Uint32Array(this.memory.buffer, this.calls.sheaf_tok_data(vocab), count));
  }

  text(vocab: number, bytes: number): string {
    const at = this.calls.sheaf_tok_data(vocab);
    return decoder.decode(this.memory.subarray(at, at + bytes));
  }

  /** The answer, or what is wrong as an error. */
  must(answer: number, subject: string): number {
    if (answer >= 0) return answer;
    const [name = '', sentence = ''] = this.text(0, this.calls.sheaf_tok_explain(answer)).split('\n');
    throw new SheafError(`${subject}: ${sentence}`, name.replace('SHEAF_', ''));
  }
}

const isBytes = (text: unknown): text is Uint8Array => text instanceof Uint8Array;

function checked(text: unknown): string | Uint8Array {
  if (typeof text === 'string' || isBytes(text)) return text;
  throw new SheafError('a text is a string or a Uint8Array', 'E_FIELD');
}

function specialOf(options: EncodeOptions | undefined): number {
  const name = options?.special ?? 'text', number = specials.indexOf(name);
  if (number < 0) throw new SheafError(`special: there is no "${String(name)}": give text, allow or refuse`, 'E_RANGE', 'special');
  return number;
}

function limitOf({ limit }: CountOptions): number {
  if (limit === undefined || limit === Infinity) return ANY_COUNT;
  if (!(limit >= 0)) throw new SheafError('limit: a number from 0', 'E_RANGE', 'limit');
  return Math.min(Math.floor(limit), ANY_COUNT);
}

/** Text to tokens and back, with one encoding. Made by `loadEncoding`. Every call answers at once. */
export class Tokenizer {
  /** The encoding's name. */
  readonly name: string;
  /** One more than the highest id. */
  readonly size: number;
  private module: TokenModule | undefined;

  /** @internal */
  constructor(module: TokenModule, private readonly vocab: number) {
    this.module = module;
    this.name = module.text(0, module.must(module.calls.sheaf_tok_name(vocab), 'the name'));
    this.size = module.calls.sheaf_tok_size(vocab);
  }

  private get open(): TokenModule {
    if (!this.module) throw new SheafError('this tokenizer is closed', 'E_MISUSE');
    return this.module;
  }

  /** The ids of a text: those that tiktoken gives, or the model's own tokenizer.json. */
  encode(text: string | Uint8Array, options?: EncodeOptions): Uint32Array<ArrayBuffer> {
    const module = this.open, special = specialOf(options);
    const bytes = module.put(checked(text));
    const count = module.must(module.calls.sheaf_tok_encode(this.vocab, module.at, bytes, special), 'the text');
    module.trim();
    return module.copyIds(this.vocab, count);
  }

  /** How many ids `encode` gives. */
  count(text: string | Uint8Array, options?: CountOptions): number {
    const module = this.open;
    const special = options ? specialOf(options) : 0, limit = options ? limitOf(options) : ANY_COUNT;
    const bytes = module.put(checked(text));
    const count = module.calls.sheaf_tok_count(this.vocab, module.at, bytes, special, limit);
    module.trim();
    return module.must(count, 'the text');
  }

  /** The text of ids. What is no UTF-8 becomes U+FFFD: ids may end within a character. */
  decode(ids: ArrayLike<number>): string {
    const module = this.open;
    return module.text(this.vocab, this.decoded(module, ids));
  }

  /** The bytes of ids. */
  decodeBytes(ids: ArrayLike<number>): Uint8Array<ArrayBuffer> {
    const module = this.open;
    return module.copy(this.vocab, this.decoded(module, ids));
  }

  private decoded(module: TokenModule, ids: ArrayLike<number>): number {
    module.putIds(ids);
    return module.must(module.calls.sheaf_tok_decode(this.vocab, module.at, ids.length), 'the ids');
  }

  /** The input tokens of a request's body, as an object or as JSON, in the shape of any provider. */
  countBody(body: object | string | Uint8Array): BodyCount {
    const module = this.open;
    const bytes = module.put(typeof body === 'string' || isBytes(body) ? body : JSON.stringify(body));
    const answer = module.calls.sheaf_tok_count_body(this.vocab, module.at, bytes);
    module.trim();
    if (answer < LEAST) module.must(answer - LEAST, 'the body');
    return answer < 0 ? { tokens: -1 - answer, isEstimate: true } : { tokens: answer, isEstimate: false };
  }

  /** The input tokens of messages, with what a chat adds to each. */
  countMessages(messages: readonly object[]): BodyCount {
    return this.countBody({ messages });
  }

  /** Lets go of its memory, some 15 MB. */
  close(): void {
    this.module = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
