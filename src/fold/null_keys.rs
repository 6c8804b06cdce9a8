//! Old daily rows with NULL in a key column: LiteLLM up to 1.90 wrote them, and columns that joined the
//! key later left them behind. NULL never conflicts, so an upsert makes a new row beside them. The fold
//! merges them into the row that it has just made: their sums are added to it and they are deleted.

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiTupleTable, quote_identifier};

use super::targets::Target;
use super::upsert::NOW;
use crate::error::Result;

/// The columns of the target's key that may be NULL; none where a foreign key may keep rows from being
/// deleted.
pub fn nullable_key(target: &Target) -> Vec<&str> {
    if target.table.is_referenced {
        return Vec::new();
    }
    let columns = target.key.iter().flat_map(|key| &key.columns);
    columns.map(String::as_str).filter(|column| target.table.is_nullable(column)).collect()
}

/// The upsert, made to return the keys of the rows that it inserted: one array a column. What another
/// statement of this transaction inserted is returned too, which does no harm.
pub fn returning_new_keys(target: &Target, upsert: &str) -> String {
    let keys = key_columns(target);
    let list = keys.join(", ");
    let arrays: Vec<String> = keys
        .iter()
        .map(|key| format!("pg_catalog.array_agg(w.{key}::pg_catalog.text) FILTER (WHERE w.is_new)"))
        .collect();
    format!(
        "WITH w AS ({upsert} RETURNING {list}, created_at = {NOW}::pg_catalog.timestamp(3) AS is_new)
         SELECT {} FROM w",
        arrays.join(", ")
    )
}

/// Adds rows with NULL in `nullable` to the row that has `''` there, and deletes them. The first column of
/// the key, the entity, has a branch for each case, so that either finds its rows through the index. All
/// numbers are added up, those that this version does not know as well.
pub fn merge_statement(target: &Target, nullable: &[&str]) -> String {
    let keys = key_columns(target);
    let is_nullable = |key: &String| nullable.iter().any(|name| quote_identifier(name) == *key);
    let sums: Vec<String> =
        target.table.numbers().into_iter().map(quote_identifier).filter(|sum| !keys.contains(sum)).collect();
    let list = |of: &[String], text: &dyn Fn(&String) -> String| of.iter().map(text).collect::<Vec<_>>().join(", ");
    let all = |of: &[String], text: &dyn Fn(&String) -> String| of.iter().map(text).collect::<Vec<_>>().join(" AND ");
    let (entity, others) = keys.split_at(1.min(keys.len()));
    let entity = entity.concat();
    let same_others = all(others, &|key| match is_nullable(key) {
        true => format!("coalesce(o.{key}, '') = b.{key}"),
        false => format!("o.{key} = b.{key}"),
    });
    let null_others: Vec<String> =
        others.iter().filter(|key| is_nullable(key)).map(|key| format!("o.{key} IS NULL")).collect();
    let mut branches = Vec::new();
    if !null_others.is_empty() {
        branches.push(format!("o.{entity} = b.{entity} AND {same_others} AND ({})", null_others.join(" OR ")));
    }
    if nullable.iter().any(|name| quote_identifier(name) == entity) {
        branches.push(format!("o.{entity} IS NULL AND b.{entity} = '' AND {same_others}"));
    }
    let table = &target.table.name;
    let old: Vec<String> =
        branches.iter().map(|branch| format!("SELECT o.id, b.* FROM b JOIN {table} AS o ON {branch}")).collect();
    format!(
        "WITH b AS (SELECT * FROM unnest({parameters}) AS b ({names})),
         old AS ({old}),
         merged AS (DELETE FROM {table} AS o USING old AS b WHERE o.id = b.id RETURNING {of_key}, {of_old}, o.created_at, o.model_group AS group_before),
         total AS (SELECT {names}, {totals}, pg_catalog.min(created_at) AS created_at,
                          pg_catalog.min(nullif(group_before, '')) AS group_before FROM merged GROUP BY {names})
         UPDATE {table} AS o SET {changes}, created_at = least(o.created_at, b.created_at){model_group}
         FROM total AS b WHERE {same_key}",
        parameters = (1..=keys.len()).map(|n| format!("${n}::pg_catalog.text[]")).collect::<Vec<_>>().join(", "),
        names = keys.join(", "),
        old = old.join(" UNION ALL "),
        of_key = list(&keys, &|key| format!("b.{key}")),
        of_old = list(&sums, &|sum| format!("o.{sum}")),
        totals = list(&sums, &|sum| format!("pg_catalog.sum({sum}) AS {sum}")),
        changes = list(&sums, &|sum| format!("{sum} = coalesce(o.{sum} + b.{sum}, o.{sum}, b.{sum})")),
        // The first writer's stays, unless it is part of the key.
        model_group = match keys.iter().any(|key| key == "model_group") {
            true => "",
            false => ", model_group = coalesce(b.group_before, o.model_group)",
        },
        same_key = all(&keys, &|key| format!("o.{key} = b.{key}")),
    )
}

/// Runs the merge for the keys of new rows; most folds insert none.
pub fn merge(client: &mut SpiClient, target: &Target, new_rows: SpiTupleTable, statement: &str) -> Result<()> {
    let row = new_rows.first();
    let mut keys: Vec<Vec<String>> = Vec::new();
    for at in 1..=key_columns(target).len() {
        match row.get::<Vec<String>>(at)? {
            Some(column) => keys.push(column),
            None => return Ok(()),
        }
    }
    let arguments: Vec<DatumWithOid> = keys.into_iter().map(Into::into).collect();
    let merged = client.update(statement, None, &arguments)?.len();
    if merged > 0 {
        log!("litellm_spend merged old rows with NULL in their key into {merged} rows of {}", target.table.name);
    }
    Ok(())
}

fn key_columns(target: &Target) -> Vec<String> {
    target.key.iter().flat_map(|key| &key.columns).map(quote_identifier).collect()
}
