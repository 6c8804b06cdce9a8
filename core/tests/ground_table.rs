//! Compares the ground table with LiteLLM's own definitions of its tables, sql/litellm_tables.sql, which come from
//! LiteLLM's newest migrations. A table, key or column that only one of them has is a mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use litellm_spend_core::litellm::columns::filled;
use litellm_spend_core::litellm::tables::Role;

/// The definition of one table.
struct Definition {
    columns: BTreeSet<String>,
    unique_keys: Vec<BTreeSet<String>>,
}

/// The text between `begin` and `end`; empty if one of them is missing.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    text.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map_or("", |(between, _)| between)
}

fn names<'t>(list: impl Iterator<Item = &'t str>) -> BTreeSet<String> {
    list.map(|name| name.trim().trim_matches('"').to_owned()).collect()
}

fn definitions() -> BTreeMap<String, Definition> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/litellm_tables.sql");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let parts = text.split("\n-- table ").skip(1).filter_map(|part| part.split_once('\n'));
    parts
        .map(|(name, part)| {
            let columns = names(between(part, "(\n", "\n)").lines().filter_map(|line| line.split_whitespace().next()));
            let is_unique = |line: &&str| line.contains("PRIMARY KEY (") || line.contains("CREATE UNIQUE INDEX");
            let unique_keys =
                part.lines().filter(is_unique).map(|line| names(between(line, "(", ")").split(','))).collect();
            (name.to_owned(), Definition { columns, unique_keys })
        })
        .collect()
}

fn is_only_read(role: &Role) -> bool {
    matches!(role, Role::DeprecatedKeys | Role::Deliveries)
}

#[test]
fn each_table_that_a_fold_writes_is_created_and_no_other() {
    let written: BTreeSet<String> =
        Role::all().filter(|role| !is_only_read(role)).map(|role| role.table().to_owned()).collect();
    assert_eq!(definitions().into_keys().collect::<BTreeSet<_>>(), written);
}

#[test]
fn each_column_that_a_fold_fills_is_one_of_litellms() {
    // A table may lack one of these columns. A fold fills it if the table has it.
    const OF_SOME: [&str; 3] = ["id", "created_at", "updated_at"];
    let definitions = definitions();
    for role in Role::all().filter(|role| !is_only_read(role)) {
        for column in filled(role).into_iter().filter(|column| !OF_SOME.contains(column)) {
            assert!(
                definitions[role.table()].columns.contains(column),
                "{} has no column {column}: run make tables with a LiteLLM that has it",
                role.table()
            );
        }
    }
}

#[test]
fn each_key_by_which_a_fold_finds_rows_is_unique() {
    let definitions = definitions();
    for (role, key) in Role::all().filter_map(|role| Some((role, role.key()?))) {
        let required: BTreeSet<String> = key.required.iter().map(|name| (*name).to_owned()).collect();
        let all: BTreeSet<String> =
            key.optional.iter().map(|name| (*name).to_owned()).chain(required.clone()).collect();
        let fits = |unique: &&BTreeSet<String>| unique.is_superset(&required) && unique.is_subset(&all);
        let found = definitions[role.table()].unique_keys.iter().find(fits);
        assert!(found.is_some(), "{} has no unique key on {required:?}", role.table());
    }
}
