// tokens.ts: what "sheaf/tokens" exports, in every runtime. Types alone: tokens_entry.ts is the code behind them.

/// <reference lib="esnext.disposable" preserve="true" />

import type { Tokenizer } from './tokenizer.js';
import type { ModuleSource } from './types.js';

export { SheafError } from './errors.js';
export type { BodyCount, CountOptions, EncodeOptions, Tokenizer } from './tokenizer.js';
export type { ModuleSource } from './types.js';

/** The encodings whose vocabularies ship with the package. */
export type EncodingName = 'o200k_base' | 'o200k_harmony' | 'cl100k_base' | 'p50k_base' | 'p50k_edit' | 'r50k_base' | 'gpt2';

/** Where a vocabulary or a rank file can be had: its bytes, its address or a response. */
export type VocabularySource = ArrayBuffer | ArrayBufferView | URL | Response;

/** What `sheaf/tokens/o200k_base` and its kin export. The vocabulary is read when it is asked for, not before. */
export interface Encoding {
  readonly name: string;
  load(): VocabularySource | Promise<VocabularySource>;
}

/**
 * Opens an encoding: one that ships, by its name or as imported from `sheaf/tokens/...` (in workers and edge runtimes,
 * imported only), or any vocabulary that `buildVocabulary` or `sheaf tokens` has built.
 */
export declare function loadEncoding(encoding: EncodingName | Encoding | VocabularySource): Promise<Tokenizer>;

/** The encoding of a model. `isEstimate`: it is not one of OpenAI's, and counts with this encoding are an estimate. */
export declare function encodingOfModel(model: string): Promise<{ name: EncodingName; isEstimate: boolean }>;

/**
 * Builds a vocabulary, to be kept and given to `loadEncoding`, from a `.tiktoken` rank file or a Hugging Face
 * tokenizer.json. `pattern`: how a rank file of your own splits text: `r50k`, `cl100k`, `o200k`, `gpt2`, `llama3`, `qwen2`
 * or `none`; not needed with the names that ship, nor with tokenizer.json.
 */
export declare function buildVocabulary(source: VocabularySource, name: string, pattern?: string): Promise<Uint8Array<ArrayBuffer>>;

/** Where the WebAssembly module is, where it is not found by itself; before the first call. See `useModule`. */
export declare function useTokensModule(source: ModuleSource | Promise<ModuleSource>): void;
