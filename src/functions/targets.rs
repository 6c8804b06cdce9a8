//! The rows of `litellm_spend.targets`: each of LiteLLM's tables, and what the fold does with it.

use std::collections::HashSet;

use litellm_spend_core::litellm::columns::filled;
use litellm_spend_core::litellm::tables::{EntityKind, Role};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::create_tables;
use crate::error::Result;
use crate::fold::write::entities;
use crate::postgres::pinned_settings;
use crate::settings;
use crate::targets::{Finding, cache, examine, is_switched_off};

type Row = (String, bool, &'static str, Vec<String>, Vec<String>, Option<String>);

/// Lists each table that a fold writes, in the order of the fold, and any other table that holds the fold. Each row
/// says whether the table exists, what the fold does with it, which columns the fold writes, and which columns this
/// version of the extension does not know. The reason says why the table is not written, or what in the table may
/// change a write.
#[pg_extern(stable, parallel_unsafe, security_definer, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
fn list_targets() -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(target, String),
            name!(found, bool),
            name!(action, &'static str),
            name!(columns_written, Vec<String>),
            name!(columns_unknown, Vec<String>),
            name!(reason, Option<String>),
        ),
    >,
    ErrorReport,
> {
    Ok(TableIterator::new(pinned_settings::pinned(rows)?))
}

fn rows() -> Result<Vec<Row>> {
    let schema = settings::target_schema();
    let findings = cache::look_at(&schema, || Spi::connect(|client| examine(client, &schema)))?;
    let is_listed = |(role, finding): &(Role, Finding)| role.is_target() || matches!(finding, Finding::Held(..));
    Ok(findings.into_iter().filter(is_listed).map(|(role, finding)| row(role, finding)).collect())
}

fn row(role: Role, finding: Finding) -> Row {
    let name = role.table().to_owned();
    match finding {
        Finding::Skipped(found, reason) => (name, found, "skipped", Vec::new(), Vec::new(), Some(reason.to_owned())),
        Finding::Held(message, hint) => {
            (name, true, "held", Vec::new(), Vec::new(), Some(format!("{message}. {hint}")))
        }
        Finding::Found(_) if is_switched_off(role) => {
            let reason = "litellm_spend.write_spend_logs is off".to_owned();
            (name, true, "skipped", Vec::new(), Vec::new(), Some(reason))
        }
        Finding::Found(target) => {
            let written = filled(role).into_iter().filter(|column| target.table.has(column));
            let known: HashSet<&str> = create_tables::columns_of_litellm(role.table()).collect();
            let mut unknown: Vec<String> =
                target.table.columns.keys().filter(|column| !known.contains(column.as_str())).cloned().collect();
            unknown.sort_unstable();
            let mut peculiarities = target.table.peculiarities.clone();
            if let Role::Entity(kind) = role
                && kind != EntityKind::OrganizationMember
            {
                peculiarities.extend(entities::obstacle(kind, &target.table));
            }
            let reason = Some(peculiarities.join("; ")).filter(|text| !text.is_empty());
            (name, true, "written", written.map(str::to_owned).collect(), unknown, reason)
        }
    }
}
