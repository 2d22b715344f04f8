// worker.mjs: the suite inside a worker of Cloudflare's kind: its world comes as the request's body. What "sheaf" does at
// module scope, where there is neither clock nor timer nor randomness, is tried by importing it here.
import * as sheaf from 'sheaf';

import { run } from './conformance.mjs';

export default {
  async fetch(request, { KV: kv } = {}) {
    const { only, ...world } = await request.json();
    return Response.json(await run(sheaf, { ...world, kv }, only));
  },
};
