// Connections to a database for Prisma's engines.
'use strict';
const pg = require('pg');

// Types that Prisma's adapters do not know and the native engines read as text, or, an oid, as bigint.
const READ_AS = new Map([18, 19, 24, 25, 28, 194, 705, 1186, 2205, 2206, 2278, 3220, 5069].map((oid) => [oid, 25]));
READ_AS.set(26, 20).set(1002, 1009).set(1003, 1009);

const { addFields } = pg.Result.prototype;
pg.Result.prototype.addFields = function (fields) {
  for (const field of fields) field.dataTypeID = READ_AS.get(field.dataTypeID) ?? field.dataTypeID;
  return addFields.call(this, fields);
};

/** A pool for a DATABASE_URL with Prisma's parameters. */
function poolOf(text) {
  const url = new URL(text);
  const parameter = (name, otherwise) => url.searchParams.get(name) ?? otherwise;
  return new pg.Pool({
    host: parameter('host', url.hostname),
    port: Number(url.port || 5432),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)),
    max: Number(parameter('connection_limit', 5)),
    connectionTimeoutMillis: 1000 * Number(parameter('pool_timeout', 10)),
    application_name: 'prisma',
    options: `-c TimeZone=UTC -c search_path=${schemaOf(text)}`,
  });
}

/** The schema that a DATABASE_URL names. */
function schemaOf(text) {
  return new URL(text).searchParams.get('schema') ?? 'public';
}

module.exports = { poolOf, schemaOf };
