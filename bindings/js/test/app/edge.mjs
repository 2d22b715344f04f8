// edge.mjs: the suite for runtimes that evaluate a script: they call sheafRun with its world.
import * as sheaf from 'sheaf';

import { run } from './conformance.mjs';

globalThis.sheafRun = async (json) => {
  const { only, ...world } = JSON.parse(json);
  return JSON.stringify(await run(sheaf, world, only));
};
