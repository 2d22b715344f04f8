// page.mjs: the suite in a page, or in a module worker of it. Its world comes as JSON after the address's #.
import * as sheaf from 'sheaf';

import { run } from './conformance.mjs';

function inWorker(world) {
  const worker = new Worker(new URL('./page_worker.mjs', import.meta.url), { type: 'module' });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message || 'the worker could not be loaded'));
    worker.postMessage(world);
  });
}

const { where, ...world } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
try {
  globalThis.outcomes = where === 'worker' ? await inWorker(world) : await run(sheaf, world, world.only);
} catch (error) {
  globalThis.outcomes = [{ name: 'the suite runs', ms: 0, error: String(error) }];
}
