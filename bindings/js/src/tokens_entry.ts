// tokens_entry.ts: loadEncoding and its kin over a runtime: what every entry of sheaf/tokens is made of.

import { SheafError } from './errors.js';
import { compile } from './loader.js';
import { type TokenCalls, Tokenizer, TokenModule } from './tokenizer.js';
import type { Encoding, EncodingName, VocabularySource } from './tokens.js';
import type { ModuleSource } from './types.js';

/** The functions as tokens.ts declares them. */
export type TokensEntry = Pick<
  typeof import('./tokens.js'), 'loadEncoding' | 'encodingOfModel' | 'buildVocabulary' | 'useTokensModule'
>;

/** What differs between runtimes. @internal */
export interface TokensSurroundings {
  module(): ModuleSource | Promise<ModuleSource>;
  /** The vocabulary that ships under a name, where it can be found by its name alone. */
  vocabulary?(name: EncodingName): VocabularySource | Promise<VocabularySource>;
}

const encoder = new TextEncoder();
const names: readonly string[] = [
  'o200k_base', 'o200k_harmony', 'cl100k_base', 'p50k_base', 'p50k_edit', 'r50k_base', 'gpt2',
] satisfies EncodingName[];

async function fetched(source: Response | URL): Promise<Uint8Array> {
  const response = source instanceof URL ? await fetch(source) : source;
  if (!response.ok) throw new SheafError(`${response.url || 'the vocabulary'}: status ${response.status}`, 'E_NOT_FOUND');
  return new Uint8Array(await response.arrayBuffer());
}

/** Responses and buffers of another realm are no instances of this realm's classes, so that what they are like tells. */
async function bytesOf(source: VocabularySource): Promise<Uint8Array> {
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (Object.prototype.toString.call(source) === '[object ArrayBuffer]') return new Uint8Array(source as ArrayBuffer);
  if (source instanceof URL || typeof (source as Partial<Response> | undefined)?.arrayBuffer === 'function')
    return fetched(source as Response | URL);
  throw new SheafError('a vocabulary is bytes, an address, a response or an encoding', 'E_FIELD');
}

export function tokensEntryOf(surroundings: TokensSurroundings): TokensEntry {
  let source: ModuleSource | Promise<ModuleSource> | undefined;
  let compiled: WebAssembly.Module | Promise<WebAssembly.Module> | undefined;

  // As in loader.ts: the module takes the place of its promise.
  async function instance(): Promise<TokenModule> {
    const pending = (compiled ??= (async () => compile(await (source ?? surroundings.module())))());
    try {
      const module = await pending;
      if (compiled === pending) compiled = module;
      const { exports } = await WebAssembly.instantiate(module, {});
      return new TokenModule(exports as unknown as TokenCalls);
    } catch (error) {
      if (compiled === pending) compiled = undefined;
      throw error;
    }
  }

  function vocabularyOf(encoding: EncodingName | Encoding | VocabularySource): VocabularySource | Promise<VocabularySource> {
    if (typeof encoding === 'object') return 'load' in encoding ? encoding.load() : encoding;
    if (!names.includes(encoding)) throw new SheafError(`there is no encoding "${encoding}": ${names.join(', ')}`, 'E_NOT_FOUND');
    if (surroundings.vocabulary) return surroundings.vocabulary(encoding);
    throw new SheafError(`import "sheaf/tokens/${encoding}" and hand over what it exports: here, nothing is found by its name`, 'E_UNSUPPORTED');
  }

  return {
    async loadEncoding(encoding) {
      const [bytes, module] = await Promise.all([Promise.resolve(vocabularyOf(encoding)).then(bytesOf), instance()]);
      const { calls } = module, length = module.put(bytes);
      const vocab = module.must(calls.sheaf_tok_open(module.at, length), 'the vocabulary');
      module.trim();
      return new Tokenizer(module, vocab);
    },

    async encodingOfModel(model) {
      const module = await instance(), bytes = module.put(model);
      const answer = module.calls.sheaf_tok_encoding(module.at, bytes);
      const isEstimate = answer <= -1000;
      const name = module.text(0, module.must(isEstimate ? -1000 - answer : answer, 'the model'));
      return { name: name as EncodingName, isEstimate };
    },

    async buildVocabulary(given, name, pattern = '') {
      const [module, source] = await Promise.all([instance(), bytesOf(given)]);
      const parts = [source, encoder.encode(name), encoder.encode(pattern)] as const;
      const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      const places: number[] = [];
      let at = 0;
      for (const part of parts) {
        all.set(part, at);
        places.push(at, part.length);
        at += part.length;
      }
      module.put(all);
      const [from = 0, bytes = 0, nameAt = 0, nameBytes = 0, patternAt = 0, patternBytes = 0] = places;
      const length = module.calls.sheaf_tok_build(
        module.at + from, bytes, module.at + nameAt, nameBytes, module.at + patternAt, patternBytes,
      );
      return module.copy(0, module.must(length, 'the vocabulary'));
    },

    useTokensModule(given) {
      source = given;
      compiled = undefined;
    },
  };
}
