// A query of prisma-client-py, which is GraphQL, as the JSON that the WebAssembly build of Prisma's engine takes; and its
// answer as the GraphQL protocol has it. The two protocols differ in form alone, but for values of the type Json:
// only the JSON protocol marks them, so they are found by the schema.
'use strict';
const { parse, Kind } = require('graphql');

const ACTIONS = /^(createOne|createMany|deleteOne|deleteMany|updateOne|updateMany|upsertOne|findUnique|findFirst|findMany|aggregate|groupBy|queryRaw|executeRaw)(\w*?)(OrThrow)?$/;
// Arguments of a filter on a Json field that are no Json themselves.
const PLAIN_IN_JSON_FILTER = new Set(['path', 'mode', 'string_contains', 'string_starts_with', 'string_ends_with']);

// What is known of the value at a place of the query: the fields of its model, or that it is of the type Json.
const JSON_VALUE = { isJson: true };
const UNKNOWN = {};

/** The models of a schema.prisma: by name, the type of each field. */
function modelsOf(schema) {
  const models = {};
  for (const [, name, body] of schema.matchAll(/^model (\w+) \{\n(.*?)^\}/gms)) {
    models[name] = Object.fromEntries([...body.matchAll(/^\s+(\w+)\s+(\w+)/gm)].map(([, field, type]) => [field, type]));
  }
  return models;
}

class Translator {
  constructor(schema) {
    this.models = modelsOf(schema);
  }

  /** The JSON text of a query, and the name under which its answer is expected. */
  translate(source) {
    const [definition] = parse(source, { noLocation: true }).definitions;
    const [root] = definition.selectionSet.selections;
    const match = ACTIONS.exec(root.name.value);
    if (!match) throw new Error(`Prisma's engine has no operation ${root.name.value}`);
    const [, action, model, orThrow = ''] = match;
    const place = this.model(model);
    const query = `{"arguments":${this.args(root.arguments, place)},"selection":${this.selection(root.selectionSet, place)}}`;
    const name = model ? `"modelName":${JSON.stringify(model)},` : '';
    return { name: (root.alias ?? root.name).value, text: `{${name}"action":"${action}${orThrow}","query":${query}}` };
  }

  model(name) {
    return this.models[name] ? { fields: this.models[name] } : UNKNOWN;
  }

  inside(place, key) {
    if (place.isJson) return PLAIN_IN_JSON_FILTER.has(key) ? UNKNOWN : place;
    const type = place.fields?.[key];
    if (!type) return place;
    return type === 'Json' ? JSON_VALUE : this.model(type);
  }

  args(nodes, place) {
    return object(nodes, (node) => this.value(node.value, this.inside(place, node.name.value)));
  }

  value(node, place) {
    switch (node.kind) {
      case Kind.STRING:
        return JSON.stringify(place.isJson ? { $type: 'Json', value: node.value } : node.value);
      case Kind.ENUM:
        return JSON.stringify(node.value);
      case Kind.INT: // As text: it may have more digits than a number of JavaScript.
      case Kind.FLOAT:
        return node.value;
      case Kind.BOOLEAN:
        return String(node.value);
      case Kind.NULL:
        return 'null';
      case Kind.LIST:
        return `[${node.values.map((value) => this.value(value, place))}]`;
      case Kind.OBJECT:
        return this.args(node.fields, place);
      default:
        throw new Error(`a query of prisma-client-py has no ${node.kind}`);
    }
  }

  selection(set, place) {
    return object(set?.selections ?? [], (node) => {
      const inner = this.model(place.fields?.[node.name.value]);
      if (!node.selectionSet && !node.arguments.length) return 'true';
      return `{"arguments":${this.args(node.arguments, inner)},"selection":${this.selection(node.selectionSet, inner)}}`;
    });
  }
}

function object(nodes, textOf) {
  return `{${nodes.map((node) => `${JSON.stringify(node.name.value)}:${textOf(node)}`)}}`;
}

/** The engine's answer to a query, under the name that the client expects. */
function answer(result, name) {
  if (!result.data) return result;
  const [[operation, value]] = Object.entries(result.data);
  return { ...result, data: { [name]: operation === 'queryRaw' ? rawRows(value) : untagged(value) } };
}

/** `{$type, value}` -> value. */
function untagged(value) {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(untagged);
  if ('$type' in value) return value.value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, untagged(member)]));
}

/** The rows of a raw query as the engine of Prisma 5.4 tells them. */
function rawRows({ columns, types, rows }) {
  return rows.map((row) => Object.fromEntries(columns.map((column, at) => [column, rawCell(types[at], row[at])])));
}

function rawCell(type, value) {
  if (value === null) return { prisma__type: 'null', prisma__value: null };
  if (!type.endsWith('-array')) return { prisma__type: type, prisma__value: value };
  return { prisma__type: 'array', prisma__value: value.map((item) => rawCell(type.slice(0, -'-array'.length), item)) };
}

module.exports = { Translator, answer };
