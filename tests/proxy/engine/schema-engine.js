#!/usr/bin/env node
// Stands in for Prisma's native schema engine, which no package registry holds: the same engine as WebAssembly, of a
// newer Prisma, behind the protocol of Prisma 5.4's command line (JSON-RPC, a message a line). It answers what
// `prisma migrate deploy`, `resolve` and `status` ask for.
'use strict';

if (process.argv.includes('--version')) {
  console.log(`schema-engine-cli ${require('./version.js')}`);
  process.exit(0);
}

const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { pathToFileURL } = require('node:url');
const { PrismaPg } = require('schema-engine-adapter-pg');
const { bindMigrationAwareSqlAdapterFactory } = require('schema-engine-adapter-utils');
const { poolOf, schemaOf } = require('./pool.js');

// An adapter and no parameter of the engine's says which tables are left out.
const FILTERS = { externalTables: [], externalEnums: [] };

/** The engine on a database, as the models of a schema.prisma are to be. */
async function startEngine(url, schema) {
  const folder = path.dirname(require.resolve('@prisma/schema-engine-wasm'));
  const binding = await import(pathToFileURL(path.join(folder, 'schema_engine_bg.js')));
  const program = new WebAssembly.Module(fs.readFileSync(path.join(folder, 'schema_engine_bg.wasm')));
  const { exports } = new WebAssembly.Instance(program, { './schema_engine_bg.js': binding });
  binding.__wbg_set_wasm(exports);
  exports.__wbindgen_start();
  const datamodels = [[schema, fs.readFileSync(schema, 'utf8')]];
  return binding.SchemaEngine.new({ datamodels }, () => {}, adapterOf(url));
}

/** Prisma's adapter, which runs a script as the native engine does: as one query, and so as one transaction. */
function adapterOf(url) {
  const factory = new PrismaPg(poolOf(url), { schema: schemaOf(url) });
  const connect = factory.connect.bind(factory);
  factory.connect = async () => {
    const connection = await connect();
    connection.executeScript = async (script) => {
      await connection.underlyingDriver().query(script).catch((error) => connection.onError(error));
    };
    // Whoever sets this holds the engine's lock.
    if (process.env.PRISMA_SCHEMA_DISABLE_ADVISORY_LOCK) withoutLock(connection);
    return connection;
  };
  return bindMigrationAwareSqlAdapterFactory(factory);
}

/** The engine as WebAssembly does not know the setting: the statement that takes its lock is made another one. */
function withoutLock(connection) {
  for (const method of ['queryRaw', 'executeRaw']) {
    const original = connection[method].bind(connection);
    connection[method] = (query) => original({ ...query, sql: query.sql.replace(/pg_advisory_lock\(\d+\)/, 'NULL') });
  }
}

/** The migrations of a folder, as the engine takes them. */
function migrationsIn(folder) {
  const lockfile = path.join(folder, 'migration_lock.toml');
  const names = fs.readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return {
    baseDir: folder,
    lockfile: { path: 'migration_lock.toml', content: fs.existsSync(lockfile) ? fs.readFileSync(lockfile, 'utf8') : null },
    shadowDbInitScript: '',
    migrationDirectories: names
      .map((entry) => entry.name)
      .filter((name) => fs.existsSync(path.join(folder, name, 'migration.sql')))
      .sort()
      .map((name) => ({ path: name, migrationFile: { path: 'migration.sql', content: content(folder, name) } })),
  };
}

function content(folder, name) {
  return { tag: 'ok', value: fs.readFileSync(path.join(folder, name, 'migration.sql'), 'utf8') };
}

/** What the engine answers to a request of the command line. */
async function answer(engine, method, { migrationsDirectoryPath, ...parameters } = {}) {
  if (method === 'diff') throw new Error('the schema engine of the tests compares no schemas');
  if (method === 'listMigrationDirectories') {
    const { migrationDirectories } = migrationsIn(migrationsDirectoryPath);
    return { migrations: migrationDirectories.map((migration) => migration.path) };
  }
  const migrations = migrationsDirectoryPath ? { migrationsList: migrationsIn(migrationsDirectoryPath) } : {};
  return (await (await engine)[method]({ ...parameters, ...migrations, filters: FILTERS })) ?? {};
}

/** An error of the engine as the command line expects it. */
function asError(error) {
  return { code: 4466, message: 'An error happened.', data: { is_panic: false, message: error.message, error_code: error.code } };
}

function serve(engine) {
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('close', () => process.exit(0));
  lines.on('line', async (line) => {
    const { id, method, params } = JSON.parse(line);
    const outcome = await answer(engine, method, params).then(
      (result) => ({ result }),
      (error) => ({ error: asError(error) }),
    );
    console.log(JSON.stringify({ jsonrpc: '2.0', id, ...outcome }));
  });
}

/** `can-connect-to-database`, with the exit code and the line of a log that tell that it cannot. */
async function canConnect(url) {
  const pool = poolOf(url);
  await pool.query('SELECT 1').catch(({ message }) => {
    const fields = { error_code: 'P1001', message };
    console.error(`\n${JSON.stringify({ level: 'ERROR', target: 'schema_engine::logger', fields })}`);
    process.exitCode = 1;
  });
  await pool.end();
}

const option = (name) => process.argv[process.argv.indexOf(name) + 1];
if (process.argv[2] === 'cli') {
  canConnect(option('--datasource'));
} else {
  serve(startEngine(process.env.DATABASE_URL, option('-d')));
}
