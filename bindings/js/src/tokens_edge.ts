// tokens_edge.ts: sheaf/tokens for edge runtimes that import compiled modules and fetch files that were built in.

import { tokensEntryOf } from './tokens_entry.js';
// @ts-ignore: made by the build
import module from './sheaf-tokens.wasm?module';

export { SheafError } from './errors.js';

export const { loadEncoding, encodingOfModel, buildVocabulary, useTokensModule } = tokensEntryOf({
  module: () => module as WebAssembly.Module,
});
