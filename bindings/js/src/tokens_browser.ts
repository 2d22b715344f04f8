// tokens_browser.ts: sheaf/tokens for pages and module workers, with or without a bundler.

import { tokensEntryOf } from './tokens_entry.js';

export { SheafError } from './errors.js';

// Each written out: bundlers look for just these words, and emit the files. None is loaded before it is asked for.
const addresses = {
  o200k_base: () => new URL('./tokens/o200k_base.bin', import.meta.url),
  o200k_harmony: () => new URL('./tokens/o200k_harmony.bin', import.meta.url),
  cl100k_base: () => new URL('./tokens/cl100k_base.bin', import.meta.url),
  p50k_base: () => new URL('./tokens/p50k_base.bin', import.meta.url),
  p50k_edit: () => new URL('./tokens/p50k_edit.bin', import.meta.url),
  r50k_base: () => new URL('./tokens/r50k_base.bin', import.meta.url),
  gpt2: () => new URL('./tokens/gpt2.bin', import.meta.url),
};

export const { loadEncoding, encodingOfModel, buildVocabulary, useTokensModule } = tokensEntryOf({
  module: () => new URL('./sheaf-tokens.wasm', import.meta.url),
  vocabulary: (name) => addresses[name](),
});
