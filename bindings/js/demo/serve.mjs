// serve.mjs: serves this folder on 127.0.0.1, with the built package as sheaf/ in it. Prints the address.
//
//   node serve.mjs [--port N] [--package FOLDER]      FOLDER: what build.mjs made; build-js/package unless given
//
// Any other server of files does as well: copy this folder, and the package's dist/ into it as sheaf/.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
const { values } = parseArgs({
  options: { port: { type: 'string', default: '8090' }, package: { type: 'string', default: join(here, '../../../build-js/package') } },
});
const dist = join(values.package, 'dist');
const types = {
  '.html': 'text/html; charset=utf-8', '.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml', '.wasm': 'application/wasm',
  '.map': 'application/json',
};

const server = createServer(async (request, response) => {
  // Normalised as an absolute path, so that ".." cannot leave it.
  const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
  const file = path.startsWith('/sheaf/') ? join(dist, path.slice('/sheaf'.length)) : join(here, path.endsWith('/') ? `${path}index.html` : path);
  try {
    const bytes = await readFile(file);
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream', 'x-content-type-options': 'nosniff' }).end(bytes);
  } catch {
    response.writeHead(404).end();
  }
});

server.listen(Number(values.port), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/`));
