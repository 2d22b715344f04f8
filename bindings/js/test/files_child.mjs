// files_child.mjs: a program of a user's, to be killed: runs a file and prints the report.
//
//   node files_child.mjs '{"module":URL,"client":{},"input":PATH,"output":PATH,"options":{}}'
const { module, client: options, input, output, options: more } = JSON.parse(process.argv[2]);
const { createClient, runFile } = await import(module);
const client = await createClient(options);
try {
  console.log(JSON.stringify(await runFile(client, input, output, more)));
} catch (error) {
  console.log(JSON.stringify({ name: error.name, code: error.code, message: error.message }));
  process.exitCode = 1;
}
await client.close();
