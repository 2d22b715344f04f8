// tokens_workerd.ts: sheaf/tokens for Cloudflare's runtime: module and vocabulary are imported.

import { tokensEntryOf } from './tokens_entry.js';
// @ts-ignore: made by the build
import module from './sheaf-tokens.wasm';

export { SheafError } from './errors.js';

export const { loadEncoding, encodingOfModel, buildVocabulary, useTokensModule } = tokensEntryOf({
  module: () => module as WebAssembly.Module,
});
