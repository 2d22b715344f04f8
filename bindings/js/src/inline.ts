// inline.ts: the module inside the script, for bundlers that leave .wasm files behind. Not for workers that forbid
// compiling.

import { entryOf } from './entry.js';
import { loaderOf } from './loader.js';
// @ts-ignore: made by the build
import base64 from './sheaf-inline.js';
import { isPage, web } from './web.js';

export * from './public.js';

const bytes = (): Uint8Array => Uint8Array.from(atob(base64 as string), (letter) => letter.charCodeAt(0));

export const { createClient, pool, useModule } = entryOf(loaderOf(bytes), web({ isBrowser: isPage() }));
