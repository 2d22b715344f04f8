// here.mjs: the suite in the runtime that runs this: Node, Deno, Bun. Its world comes as JSON in SHEAF_WORLD.
import * as sheaf from 'sheaf';

import { run } from './conformance.mjs';
import { runFiles } from './files.mjs';

const { only, ...world } = JSON.parse(process.env.SHEAF_WORLD);
console.log(JSON.stringify([...(await run(sheaf, world, only)), ...(await runFiles(world, only))]));
