//! The targets as the catalogue has them now (invariant 9): which of LiteLLM's tables exist, their
//! columns and their unique keys. A missing table is skipped; one that lacks its unique key holds the
//! fold, for a restore or migration may be under way.

use std::collections::HashMap;

use litellm_spend_core::daily::{DailyKind, DailyShape};
use litellm_spend_core::entity::EntityKind;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_qualified_identifier};

use crate::error::{Error, Result};
use crate::settings;

const LOG_TABLE: &str = "LiteLLM_SpendLogs";
const BUDGET_TABLE: &str = "LiteLLM_BudgetTable";

/// A table of LiteLLM.
pub struct Table {
    /// Schema-qualified and quoted.
    pub name: String,
    pub owner: pg_sys::Oid,
    columns: HashMap<String, Column>,
    unique_keys: Vec<Vec<String>>,
}

struct Column {
    type_name: String,
    has_default: bool,
}

impl Table {
    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// Whether the column is of this type, named as `format_type` does.
    pub fn is_of_type(&self, column: &str, type_name: &str) -> bool {
        self.columns.get(column).is_some_and(|found| found.type_name == type_name)
    }

    /// Text array columns without a default, which LiteLLM always fills; sorted.
    pub fn bare_lists(&self) -> Vec<&str> {
        let bare = |column: &Column| column.type_name == "text[]" && !column.has_default;
        let mut lists: Vec<&str> =
            self.columns.iter().filter(|(_, column)| bare(column)).map(|(name, _)| name.as_str()).collect();
        lists.sort_unstable();
        lists
    }
}

/// A daily table and its unique key.
pub struct DailyTable {
    pub table: Table,
    pub shape: DailyShape,
    /// The columns of the unique key, quoted, in index order.
    pub key: String,
}

/// The tables that a fold writes.
pub struct Targets {
    pub log: Table,
    pub budget: Option<Table>,
    entities: HashMap<&'static str, Table>,
    daily: HashMap<&'static str, DailyTable>,
}

impl Targets {
    /// Reads the catalogue.
    ///
    /// # Errors
    /// There is no table to write to, or one of them is not as it must be: the fold is held.
    pub fn look_up(client: &mut SpiClient) -> Result<Self> {
        let schema = settings::target_schema();
        let mut tables = read_tables(client, &schema)?;
        let Some(log) = tables.remove(LOG_TABLE) else {
            return Err(Error::held(
                format!("schema \"{schema}\" has no table \"{LOG_TABLE}\""),
                "Run LiteLLM's migrations or SELECT * FROM litellm_spend.create_tables(), \
                 or set litellm_spend.target_schema to the schema of LiteLLM's tables.",
            ));
        };
        require_key(&log, &["request_id"])?;
        let mut targets =
            Targets { log, budget: tables.remove(BUDGET_TABLE), entities: HashMap::new(), daily: HashMap::new() };
        for kind in EntityKind::ALL {
            if let Some(table) = tables.remove(kind.table()) {
                require_key(&table, &[kind.id_column()])?;
                targets.entities.insert(kind.table(), table);
            }
        }
        for kind in DailyKind::ALL {
            if let Some(table) = tables.remove(kind.table()) {
                targets.daily.insert(kind.table(), daily_table(kind, table)?);
            }
        }
        Ok(targets)
    }

    pub fn entity(&self, kind: EntityKind) -> Option<&Table> {
        self.entities.get(kind.table())
    }

    pub fn daily(&self, kind: DailyKind) -> Option<&DailyTable> {
        self.daily.get(kind.table())
    }
}

fn require_key(table: &Table, key: &[&str]) -> Result<()> {
    if table.unique_keys.iter().any(|unique| unique == key) {
        return Ok(());
    }
    Err(Error::held(
        format!("{} has no valid unique index on just ({})", table.name, key.join(", ")),
        "A restore or migration may be under way; otherwise create the index that LiteLLM's migrations create.",
    ))
}

fn daily_table(kind: DailyKind, table: Table) -> Result<DailyTable> {
    let required = [kind.entity_column(), "date", "api_key", "model", "custom_llm_provider"];
    let optional = ["mcp_namespaced_tool_name", "endpoint"];
    let fits = |key: &&Vec<String>| {
        required.iter().all(|column| key.iter().any(|own| own == column))
            && key.iter().all(|own| required.contains(&own.as_str()) || optional.contains(&own.as_str()))
    };
    let Some(key) = table.unique_keys.iter().find(fits) else {
        return Err(Error::held(
            format!("{} has no unique index on LiteLLM's daily key", table.name),
            "A restore or migration may be under way; otherwise create the index that LiteLLM's migrations create.",
        ));
    };
    let holds = |column: &str| key.iter().any(|own| own == column);
    let shape = DailyShape { has_mcp_tool: holds(optional[0]), has_endpoint: holds(optional[1]) };
    let key = key.iter().map(pgrx::spi::quote_identifier).collect::<Vec<_>>().join(", ");
    Ok(DailyTable { table, shape, key })
}

fn read_tables(client: &mut SpiClient, schema: &str) -> Result<HashMap<String, Table>> {
    let entities = EntityKind::ALL.map(EntityKind::table);
    let dailies = DailyKind::ALL.map(DailyKind::table);
    let names: Vec<&str> = [LOG_TABLE, BUDGET_TABLE].into_iter().chain(entities).chain(dailies).collect();
    let mut tables = HashMap::new();
    let rows = client.update(
        "SELECT c.relname::pg_catalog.text, c.relowner, c.relkind IN ('r', 'p'),
                pg_catalog.array_agg(a.attname::pg_catalog.text),
                pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, NULL)),
                pg_catalog.array_agg(a.atthasdef)
         FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE n.nspname = $1 AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
         GROUP BY c.oid, c.relname, c.relowner, c.relkind",
        None,
        &[schema.into(), names.into()],
    )?;
    for row in rows {
        let (Some(relname), Some(owner)) = (row.get::<String>(1)?, row.get::<pg_sys::Oid>(2)?) else { continue };
        let name = quote_qualified_identifier(schema, &relname);
        if row.get(3)? != Some(true) {
            return Err(Error::held(
                format!("{name} is not a table"),
                "The fold writes tables only; rename the view or foreign table that has LiteLLM's name.",
            ));
        }
        let column_names: Vec<String> = row.get(4)?.unwrap_or_default();
        let types: Vec<String> = row.get(5)?.unwrap_or_default();
        let defaults: Vec<bool> = row.get(6)?.unwrap_or_default();
        let columns = column_names
            .into_iter()
            .zip(types.into_iter().zip(defaults))
            .map(|(name, (type_name, has_default))| (name, Column { type_name, has_default }))
            .collect();
        tables.insert(relname, Table { name, owner, columns, unique_keys: Vec::new() });
    }
    read_unique_keys(client, schema, &mut tables)?;
    Ok(tables)
}

fn read_unique_keys(client: &mut SpiClient, schema: &str, tables: &mut HashMap<String, Table>) -> Result<()> {
    let names: Vec<&str> = tables.keys().map(String::as_str).collect();
    let rows = client.update(
        "SELECT c.relname::pg_catalog.text, pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.n)
         FROM pg_catalog.pg_index i
         JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, n)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
         WHERE n.nspname = $1 AND c.relname = ANY ($2) AND i.indisunique AND i.indisvalid
           AND i.indpred IS NULL AND i.indexprs IS NULL AND k.n <= i.indnkeyatts
         GROUP BY c.relname, i.indexrelid",
        None,
        &[schema.into(), names.into()],
    )?;
    for row in rows {
        if let (Some(relname), Some(key)) = (row.get::<String>(1)?, row.get::<Vec<String>>(2)?)
            && let Some(table) = tables.get_mut(&relname)
        {
            table.unique_keys.push(key);
        }
    }
    Ok(())
}
