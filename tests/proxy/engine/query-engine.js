#!/usr/bin/env node
// Stands in for Prisma's native query engine, which no package registry holds: the same engine as WebAssembly, from
// Prisma's own npm packages, behind the HTTP protocol that prisma-client-py 0.11 speaks. It is slower than the native
// one, so nothing here tells how fast a proxy is.
'use strict';

if (process.argv.includes('--version')) {
  console.log(`query-engine ${require('./version.js')}`);
  process.exit(0);
}

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { PrismaPg } = require('@prisma/adapter-pg');
const { bindAdapter } = require('@prisma/driver-adapter-utils');
const { poolOf } = require('./pool.js');
const { Translator, answer } = require('./query.js');

async function startEngine(schema, pool) {
  const runtime = path.join(path.dirname(require.resolve('@prisma/client/package.json')), 'runtime');
  const binding = require(path.join(runtime, 'query_engine_bg.postgresql.js'));
  const program = new WebAssembly.Module(fs.readFileSync(path.join(runtime, 'query_engine_bg.postgresql.wasm')));
  const { exports } = new WebAssembly.Instance(program, { './query_engine_bg.js': binding });
  binding.__wbg_set_wasm(exports);
  // An adapter is a preview feature of this engine, which the schema has to name.
  const datamodel = schema.replace(/^generator \w+ \{/m, '$&\n  previewFeatures = ["driverAdapters"]');
  const options = { datamodel, logLevel: 'error', logQueries: false };
  const engine = new binding.QueryEngine(options, () => {}, bindAdapter(new PrismaPg(pool)));
  await engine.connect('{}');
  return engine;
}

class Service {
  constructor(schema, url) {
    this.translator = new Translator(schema);
    this.engine = startEngine(schema, poolOf(url));
  }

  async respond(method, route, transaction, body) {
    const engine = await this.engine;
    if (route === '/status') return { status: 'ok' };
    if (route === '/metrics') return { counters: [], gauges: [], histograms: [] };
    if (route === '/' && method === 'POST') return this.query(engine, JSON.parse(body), transaction);
    if (route === '/transaction/start') return forTransaction(await engine.startTransaction(body || '{}', '{}'));
    const end = /^\/transaction\/([^/]+)\/(commit|rollback)$/.exec(route);
    if (!end) throw new Error(`there is no ${route}`);
    return forTransaction(await engine[`${end[2]}Transaction`](end[1], '{}'));
  }

  async query(engine, request, transaction) {
    const queries = (request.batch ?? [request]).map(({ query }) => this.translator.translate(query));
    if (!request.batch) {
      return answer(JSON.parse(await engine.query(queries[0].text, '{}', transaction)), queries[0].name);
    }
    const isolated = request.transaction && !transaction ? { isolationLevel: null } : null;
    const text = `{"batch":[${queries.map((query) => query.text)}],"transaction":${JSON.stringify(isolated)}}`;
    const result = JSON.parse(await engine.query(text, '{}', transaction));
    const { batchResult } = result;
    return batchResult ? { ...result, batchResult: batchResult.map((one, at) => answer(one, queries[at].name)) } : result;
  }
}

function forTransaction(text) {
  const result = text ? JSON.parse(text) : {};
  return result.error_code ? asErrors(result) : result;
}

function asErrors(error) {
  return { errors: [{ error: error.message, user_facing_error: error }] };
}

/** What the engine threw, whose message is the error of Prisma as JSON. */
function thrown(error) {
  try {
    const known = JSON.parse(error.message);
    if (known.error_code) return asErrors(known);
  } catch {}
  console.error(error);
  return asErrors({ is_panic: false, message: String(error.message), meta: {}, error_code: 'P2037' });
}

function serve(service, port) {
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const route = request.url.split('?')[0];
    const transaction = request.headers['x-transaction-id'];
    const result = await service.respond(request.method, route, transaction, body).catch(thrown);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result));
  });
  server.keepAliveTimeout = 120_000;
  server.listen(port, '127.0.0.1');
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
  // A proxy that is killed leaves no engine behind.
  const parent = process.ppid;
  setInterval(() => process.ppid === parent || process.exit(0), 500).unref();
}

const schema = fs.readFileSync(process.env.PRISMA_DML_PATH, 'utf8');
const [overwritten] = JSON.parse(process.env.OVERWRITE_DATASOURCES ?? '[]');
const service = new Service(schema, overwritten?.url ?? process.env.DATABASE_URL);
service.engine.catch((error) => {
  console.error(error);
  process.exit(1);
});
serve(service, Number(process.argv[process.argv.indexOf('-p') + 1]));
