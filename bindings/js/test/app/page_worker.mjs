// page_worker.mjs: the suite in a module worker; page.mjs sends the world and gets the outcomes.
import * as sheaf from 'sheaf';

import { run } from './conformance.mjs';

globalThis.onmessage = async ({ data }) => globalThis.postMessage(await run(sheaf, data, data.only));
