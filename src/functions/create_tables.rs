//! `litellm_spend.create_tables`: creates the tables that folds write, by LiteLLM's own definitions, for a database
//! without a LiteLLM proxy. It also creates lower-case views for people at a psql prompt. It never changes an existing
//! relation. The tables and views do not belong to the extension, so DROP EXTENSION keeps the data.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_identifier, quote_qualified_identifier};

use crate::error::{Error, Result};
use crate::postgres::pinned_settings;
use crate::settings;

const DEFINITIONS: &str = include_str!("../../sql/litellm_tables.sql");
const PART_BEGINS: &str = "\n-- table ";

/// A relation's name and what happened to it: `created` or `kept`.
type Outcome = (String, &'static str);

/// Creates LiteLLM's tables that folds write where they are missing, and a lower-case view of each table
/// (`litellm_usertable` for `"LiteLLM_UserTable"`), in `litellm_spend.target_schema`.
#[pg_extern(volatile, parallel_unsafe, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
fn create_tables()
-> std::result::Result<TableIterator<'static, (name!(table_name, String), name!(action, &'static str))>, ErrorReport> {
    let schema = settings::target_schema();
    let outcomes = Spi::connect_mut(|client| create_all(client, &schema))?;
    Ok(TableIterator::new(outcomes))
}

fn create_all(client: &mut SpiClient, schema: &str) -> Result<Vec<Outcome>> {
    let found = client.update("SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1", Some(1), &[schema.into()])?;
    if found.is_empty() {
        return Err(Error::held(
            format!("schema \"{schema}\" does not exist"),
            "Create the schema, or set litellm_spend.target_schema to the schema of LiteLLM's tables.",
        ));
    }
    let mut outcomes = Vec::new();
    for part in DEFINITIONS.split(PART_BEGINS).skip(1) {
        let (table, definition) = part.split_once('\n').unwrap_or((part, ""));
        if exists(client, schema, table)? {
            outcomes.push((table.to_owned(), "kept"));
        } else {
            in_schema(client, schema, definition)?;
            outcomes.push((table.to_owned(), "created"));
        }
        if let Some(view) = view_of(table) {
            outcomes.push(create_view(client, schema, table, view)?);
        }
    }
    Ok(outcomes)
}

/// The columns that LiteLLM's own definition of a table has.
pub fn columns_of_litellm(table: &str) -> impl Iterator<Item = &'static str> {
    let begins = format!("{PART_BEGINS}{table}\n");
    let part = DEFINITIONS.split_once(&begins).map_or("", |(_, rest)| rest);
    let list = part.split_once("(\n").and_then(|(_, rest)| rest.split_once("\n)")).map_or("", |(list, _)| list);
    list.lines().filter_map(|line| line.split_whitespace().next()).map(|name| name.trim_matches('"'))
}

/// The name of a table's view. The budget table has no view, because it exists only for foreign keys.
fn view_of(table: &str) -> Option<String> {
    (table != "LiteLLM_BudgetTable").then(|| table.to_ascii_lowercase())
}

fn create_view(client: &mut SpiClient, schema: &str, table: &str, view: String) -> Result<Outcome> {
    if exists(client, schema, &view)? {
        return Ok((view, "kept"));
    }
    let name = quote_qualified_identifier(schema, &view);
    let of = quote_qualified_identifier(schema, table);
    client.update(&format!("CREATE VIEW {name} WITH (security_invoker = true) AS SELECT * FROM {of}"), None, &[])?;
    let comment = format!("The table \"{table}\" under a name that needs no quotes");
    client.update(&format!("COMMENT ON VIEW {name} IS {}", pgrx::spi::quote_literal(&comment)), None, &[])?;
    Ok((view, "created"))
}

fn exists(client: &mut SpiClient, schema: &str, name: &str) -> Result<bool> {
    let query =
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = $1 AND c.relname = $2)";
    Ok(client.update(query, Some(1), &[schema.into(), name.into()])?.first().get(1)?.unwrap_or(false))
}

/// Runs statements with unqualified names in this schema.
fn in_schema(client: &mut SpiClient, schema: &str, statements: &str) -> Result<()> {
    pinned_settings::restoring(|| {
        client.update(&format!("SET LOCAL search_path TO {}, pg_temp", quote_identifier(schema)), None, &[])?;
        client.update(statements, None, &[])?;
        Ok(())
    })
}
