//! Old daily rows with NULL in a key column. LiteLLM up to 1.90 wrote them, and columns that joined the key later left
//! them behind. NULL never conflicts, so an upsert creates a new row beside them. The fold merges them into the row
//! that it has just created: it adds their sums to the new row and deletes them.

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiTupleTable, quote_identifier};

use crate::error::Result;
use crate::postgres::plans;
use crate::targets::Target;

/// The columns of the target's key that may be NULL. There are none where a foreign key may keep rows from being
/// deleted.
pub fn nullable_key(target: &Target) -> Vec<&str> {
    if target.table.is_referenced {
        return Vec::new();
    }
    let columns = target.key.iter().flat_map(|key| &key.columns);
    columns.map(String::as_str).filter(|column| target.table.is_nullable(column)).collect()
}

/// The upsert as a statement that returns the keys and ids of the rows that it inserted, one array for each column. A
/// row that the upsert updated has a lock in `xmax`. An inserted row has none.
pub fn returning_new_rows(target: &Target, upsert: &str) -> String {
    let columns = returned_columns(target);
    let arrays: Vec<String> =
        columns.iter().map(|column| format!("pg_catalog.array_agg(w.{column}::pg_catalog.text)")).collect();
    format!(
        "WITH w AS ({upsert} RETURNING {}, xmax = 0 AS is_new) SELECT {} FROM w WHERE w.is_new",
        columns.join(", "),
        arrays.join(", ")
    )
}

/// The statement that adds rows with NULL in `nullable` to the new row that has `''` there, and deletes them. Without
/// statistics the planner may read all rows of an entity's day for each of its keys, so the statement reads them once
/// for all keys (`incomplete`). It adds up all numbers, including numbers that this version does not know.
fn merge_statement(target: &Target, nullable: &[&str]) -> String {
    let keys = key_columns(target);
    let is_nullable = |key: &String| nullable.iter().any(|name| quote_identifier(name) == *key);
    let sums: Vec<String> =
        target.table.numbers().into_iter().map(quote_identifier).filter(|sum| !keys.contains(sum)).collect();
    let list = |of: &[String], text: &dyn Fn(&String) -> String| of.iter().map(text).collect::<Vec<_>>().join(", ");
    let table = &target.table.name;
    let (entity, others) = keys.split_at(1.min(keys.len()));
    let entity = entity.concat();
    let own = list(&keys, &|key| format!("o.{key}"));
    let mut branches = Vec::new();
    let null_others: Vec<String> =
        others.iter().filter(|key| is_nullable(key)).map(|key| format!("o.{key} IS NULL")).collect();
    if !null_others.is_empty() {
        branches.push(format!(
            "SELECT o.id, {own} FROM (SELECT DISTINCT {entity}, date FROM b) AS d
             JOIN {table} AS o ON o.{entity} = d.{entity} AND o.date = d.date WHERE {}",
            null_others.join(" OR ")
        ));
    }
    if is_nullable(&entity) {
        branches.push(format!(
            "SELECT o.id, {own} FROM (SELECT DISTINCT date FROM b WHERE {entity} = '') AS d
             JOIN {table} AS o ON o.{entity} IS NULL AND o.date = d.date"
        ));
    }
    let same_key: Vec<String> = keys
        .iter()
        .map(|key| match is_nullable(key) {
            true => format!("coalesce(o.{key}, '') = b.{key}"),
            false => format!("o.{key} = b.{key}"),
        })
        .collect();
    format!(
        "WITH b AS (SELECT * FROM unnest({parameters}) AS b ({names}, new_id)),
         incomplete AS MATERIALIZED ({incomplete}),
         old AS (SELECT o.id, b.new_id FROM incomplete AS o JOIN b ON {same_key}),
         merged AS (DELETE FROM {table} AS o USING old WHERE o.id = old.id
                    RETURNING old.new_id, {of_old}, o.created_at, o.model_group AS group_before),
         total AS (SELECT new_id, {totals}, pg_catalog.min(created_at) AS created_at,
                          pg_catalog.min(nullif(group_before, '')) AS group_before FROM merged GROUP BY new_id)
         UPDATE {table} AS o SET {changes}, created_at = least(o.created_at, b.created_at){model_group}
         FROM total AS b WHERE o.id = b.new_id",
        parameters = (1..=keys.len() + 1).map(|n| format!("${n}::pg_catalog.text[]")).collect::<Vec<_>>().join(", "),
        names = keys.join(", "),
        incomplete = branches.join(" UNION ALL "),
        same_key = same_key.join(" AND "),
        of_old = list(&sums, &|sum| format!("o.{sum}")),
        totals = list(&sums, &|sum| format!("pg_catalog.sum({sum}) AS {sum}")),
        changes = target
            .table
            .numbers()
            .into_iter()
            .map(|column| (column, quote_identifier(column)))
            .filter(|(_, sum)| !keys.contains(sum))
            .map(|(column, sum)| format!("{sum} = {}", merged(target, column, &sum)))
            .collect::<Vec<_>>()
            .join(", "),
        // The value of the first writer stays, unless the column is part of the key.
        model_group = match keys.iter().any(|key| key == "model_group") {
            true => "",
            false => ", model_group = coalesce(b.group_before, o.model_group)",
        },
    )
}

/// The old row's number plus the new row's number, within the column's range. The total of old rows has a wider type.
fn merged(target: &Target, column: &str, sum: &str) -> String {
    let total = format!("coalesce(o.{sum} + b.{sum}, o.{sum}, b.{sum})");
    match target.table.integer_range(column) {
        // If there is no number at all, `least` and `greatest` would return one.
        Some((least, most)) => {
            format!("CASE WHEN {total} IS NOT NULL THEN least(greatest({total}, {least}), {most}) END")
        }
        None => total,
    }
}

/// Merges old rows into the new rows. Most folds insert no new row.
pub fn merge(client: &mut SpiClient, target: &Target, nullable: &[&str], new_rows: SpiTupleTable) -> Result<()> {
    let row = new_rows.first();
    let mut columns: Vec<Vec<String>> = Vec::new();
    for at in 1..=returned_columns(target).len() {
        match row.get::<Vec<String>>(at)? {
            Some(column) => columns.push(column),
            None => return Ok(()),
        }
    }
    let arguments: Vec<DatumWithOid> = columns.into_iter().map(Into::into).collect();
    let merged = plans::run(client, &merge_statement(target, nullable), &arguments)?.len();
    if merged > 0 {
        log!("litellm_spend merged old rows with NULL in their key into {merged} rows of {}", target.table.name);
    }
    Ok(())
}

/// The columns that identify a new row: its key and its id.
fn returned_columns(target: &Target) -> Vec<String> {
    key_columns(target).into_iter().chain(["id".to_owned()]).collect()
}

fn key_columns(target: &Target) -> Vec<String> {
    target.key.iter().flat_map(|key| &key.columns).map(quote_identifier).collect()
}
