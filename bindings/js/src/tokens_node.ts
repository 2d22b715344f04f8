// tokens_node.ts: sheaf/tokens for Node, Deno and Bun.

import { readFile } from 'node:fs/promises';

import { notFound } from './loader.js';
import { tokensEntryOf } from './tokens_entry.js';

export { SheafError } from './errors.js';

const read = (path: string): Promise<Uint8Array<ArrayBuffer>> => {
  const address = new URL(path, import.meta.url);
  return (readFile(address) as Promise<Uint8Array<ArrayBuffer>>)
    .catch((error: Error) => Promise.reject(notFound(address.href, error.message)));
};

export const { loadEncoding, encodingOfModel, buildVocabulary, useTokensModule } = tokensEntryOf({
  module: () => read('./sheaf-tokens.wasm'),
  vocabulary: (name) => read(`./tokens/${name}.bin`),
});
