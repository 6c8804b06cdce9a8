//! Reads LiteLLM's tables from the catalogue: their columns, their unique keys, and everything else that decides how a
//! write to them ends.

use std::collections::HashMap;

use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_qualified_identifier};

use super::keys::UniqueKey;
use super::table::{Column, Rule, Table};
use crate::error::Result;

const TABLES: &str = "SELECT c.oid, c.relname::pg_catalog.text, c.relowner, c.relkind IN ('r', 'p'), c.relkind = 'p',
        coalesce(p.partdefid <> 0, false),
        EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.confrelid = c.oid AND f.contype = 'f'),
        pg_catalog.array_agg(a.attname::pg_catalog.text),
        pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, NULL)),
        pg_catalog.array_agg(a.atthasdef OR a.attidentity <> ''),
        pg_catalog.array_agg(NOT a.attnotnull),
        pg_catalog.array_agg(a.attgenerated <> '')
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
    WHERE n.nspname = $1 AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    GROUP BY c.oid, c.relname, c.relowner, c.relkind, p.partdefid";

/// The unique keys that `ON CONFLICT` can use. It cannot use the index of a `DEFERRABLE` constraint.
const UNIQUE_KEYS: &str = "SELECT i.indrelid,
        pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.n),
        pg_catalog.array_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k.n::pg_catalog.int4, true) ORDER BY k.n)
    FROM pg_catalog.pg_index i
    CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, n)
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
    WHERE i.indrelid = ANY ($1) AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
      AND k.n <= i.indnkeyatts
    GROUP BY i.indrelid, i.indexrelid
    ORDER BY i.indexrelid";

const PECULIARITIES: &str = "SELECT c.oid, 'row security is forced on its owner'
    FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1) AND c.relrowsecurity AND c.relforcerowsecurity
    UNION ALL
    SELECT r.ev_class, 'rule ' || pg_catalog.quote_ident(r.rulename) || ' rewrites deletions'
    FROM pg_catalog.pg_rewrite r WHERE r.ev_class = ANY ($1) AND r.ev_type = '4'
    UNION ALL
    SELECT t.tgrelid, 'trigger ' || pg_catalog.quote_ident(t.tgname) || ' may change or suppress rows'
    FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid = ANY ($1) AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 3 = 3
    ORDER BY 1, 2";

const LABELS: &str = "SELECT a.attrelid, a.attname::pg_catalog.text, pg_catalog.array_agg(e.enumlabel::pg_catalog.text)
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_enum e ON e.enumtypid = a.atttypid
    WHERE a.attrelid = ANY ($1) AND NOT a.attisdropped
    GROUP BY a.attrelid, a.attname";

/// Rules, including disabled rules, because Postgres refuses ON CONFLICT for a table with a disabled rule too.
const RULES: &str = "SELECT r.ev_class, r.rulename::pg_catalog.text, r.ev_type = '4'
    FROM pg_catalog.pg_rewrite r WHERE r.ev_class = ANY ($1) AND r.ev_type <> '1' ORDER BY r.rulename";

/// The tables of `schema` with one of `names`, by name. This assigns no transaction id, because it also runs on a
/// standby. A fold has a transaction id, and there each query sees everything that committed before it.
pub fn read(client: &SpiClient, schema: &str, names: &[&str]) -> Result<HashMap<String, Table>> {
    let mut tables = HashMap::new();
    for row in client.select(TABLES, None, &[schema.into(), names.to_vec().into()])? {
        let (Some(oid), Some(relname), Some(owner)) =
            (row.get::<pg_sys::Oid>(1)?, row.get::<String>(2)?, row.get::<pg_sys::Oid>(3)?)
        else {
            continue;
        };
        let column_names: Vec<String> = row.get(8)?.unwrap_or_default();
        let types: Vec<String> = row.get(9)?.unwrap_or_default();
        let defaults: Vec<bool> = row.get(10)?.unwrap_or_default();
        let nullable: Vec<bool> = row.get(11)?.unwrap_or_default();
        let generated: Vec<bool> = row.get(12)?.unwrap_or_default();
        let columns = column_names
            .into_iter()
            .zip(types)
            .zip(defaults.into_iter().zip(nullable).zip(generated))
            .map(|((name, type_name), ((has_default, is_nullable), is_generated))| {
                (name, Column { type_name, labels: Vec::new(), has_default, is_nullable, is_generated })
            })
            .collect();
        let table = Table {
            oid,
            name: quote_qualified_identifier(schema, &relname),
            owner,
            is_table: row.get(4)? == Some(true),
            is_partitioned: row.get(5)? == Some(true),
            takes_every_row: row.get(6)? == Some(true),
            is_referenced: row.get(7)? == Some(true),
            columns,
            unique_keys: Vec::new(),
            rules: Vec::new(),
            peculiarities: Vec::new(),
        };
        tables.insert(relname, table);
    }
    let mut by_oid: HashMap<pg_sys::Oid, &mut Table> = tables.values_mut().map(|table| (table.oid, table)).collect();
    read_unique_keys(client, &mut by_oid)?;
    read_labels(client, &mut by_oid)?;
    read_rules(client, &mut by_oid)?;
    read_peculiarities(client, &mut by_oid)?;
    Ok(tables)
}

/// All indexes of these tables, including indexes that are not valid yet.
pub fn indexes(client: &SpiClient, tables: Vec<pg_sys::Oid>) -> Result<Vec<pg_sys::Oid>> {
    let query = "SELECT i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid = ANY ($1)";
    let found = client.select(query, None, &[tables.into()])?;
    Ok(found.filter_map(|row| row.get(1).transpose()).collect::<std::result::Result<_, _>>()?)
}

fn read_unique_keys(client: &SpiClient, tables: &mut HashMap<pg_sys::Oid, &mut Table>) -> Result<()> {
    let oids: Vec<pg_sys::Oid> = tables.keys().copied().collect();
    for row in client.select(UNIQUE_KEYS, None, &[oids.into()])? {
        let columns: Vec<Option<String>> = row.get(2)?.unwrap_or_default();
        let definitions: Vec<String> = row.get(3)?.unwrap_or_default();
        if let Some(table) = row.get::<pg_sys::Oid>(1)?.and_then(|oid| tables.get_mut(&oid)) {
            let of_table: Vec<&str> = table.columns.keys().map(String::as_str).collect();
            let key = UniqueKey::new(columns, definitions, &of_table);
            table.unique_keys.push(key);
        }
    }
    Ok(())
}

fn read_labels(client: &SpiClient, tables: &mut HashMap<pg_sys::Oid, &mut Table>) -> Result<()> {
    let oids: Vec<pg_sys::Oid> = tables.keys().copied().collect();
    for row in client.select(LABELS, None, &[oids.into()])? {
        if let (Some(oid), Some(name)) = (row.get::<pg_sys::Oid>(1)?, row.get::<String>(2)?)
            && let Some(column) = tables.get_mut(&oid).and_then(|table| table.columns.get_mut(&name))
        {
            column.labels = row.get(3)?.unwrap_or_default();
        }
    }
    Ok(())
}

fn read_rules(client: &SpiClient, tables: &mut HashMap<pg_sys::Oid, &mut Table>) -> Result<()> {
    let oids: Vec<pg_sys::Oid> = tables.keys().copied().collect();
    for row in client.select(RULES, None, &[oids.into()])? {
        if let (Some(oid), Some(name)) = (row.get::<pg_sys::Oid>(1)?, row.get::<String>(2)?)
            && let Some(table) = tables.get_mut(&oid)
        {
            table.rules.push(Rule { name, is_of_deletes: row.get(3)? == Some(true) });
        }
    }
    Ok(())
}

fn read_peculiarities(client: &SpiClient, tables: &mut HashMap<pg_sys::Oid, &mut Table>) -> Result<()> {
    let oids: Vec<pg_sys::Oid> = tables.keys().copied().collect();
    for row in client.select(PECULIARITIES, None, &[oids.into()])? {
        if let (Some(oid), Some(text)) = (row.get::<pg_sys::Oid>(1)?, row.get::<String>(2)?)
            && let Some(table) = tables.get_mut(&oid)
        {
            table.peculiarities.push(text);
        }
    }
    Ok(())
}
