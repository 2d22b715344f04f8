// encoding.ts: what "sheaf/tokens/o200k_base" and its kin export. Types alone: build_tokens.mjs makes the code.

import type { Encoding } from './tokens.js';

declare const encoding: Encoding;
export default encoding;
