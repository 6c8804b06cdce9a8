//! The targets as the catalogue has them now (invariant 9): which of LiteLLM's tables exist, their columns and their
//! unique keys. A missing table is skipped. A table without the unique key by which a fold finds its rows holds the
//! fold, because a restore or a migration may be running. A table whose rule would rewrite a write also holds the fold.

use std::collections::HashMap;

use litellm_spend_core::litellm::columns::filled;
use litellm_spend_core::litellm::tables::{DailyKind, Role, Switch, TableKey};
use litellm_spend_core::litellm::write_order::WriteOrder;
use litellm_spend_core::totals::daily::DailyShape;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_identifier};

use crate::error::{Error, Result};
use crate::settings;

pub mod cache;
mod catalogue;
pub mod delivery_states;
mod keys;
mod table;

pub use keys::Key;
pub use table::Table;

const RESTORE_HINT: &str =
    "Create the index that LiteLLM's migrations create, unless a restore or migration is still running.";

const RULE_HINT: &str = "Drop the rule. With it, spend would be lost or counted elsewhere, and Postgres refuses ON CONFLICT \
    on a table with a rule, even a disabled one. Use a trigger instead.";

/// A table that the fold writes or reads.
pub struct Target {
    pub table: Table,
    /// The key by which `ON CONFLICT` finds the table's rows; `None` where the fold needs no key or the table has no
    /// usable key.
    pub key: Option<Key>,
}

impl Target {
    /// The conflict target of a table whose role has a key. The key was found together with the table.
    pub fn conflict_target(&self) -> &str {
        self.key.as_ref().map_or("", |key| &key.conflict_target)
    }

    /// Which of the key columns that later LiteLLM versions added a daily table has.
    pub fn daily_shape(&self) -> DailyShape {
        let has = |column| self.key.as_ref().is_some_and(|key| key.has(column));
        DailyShape {
            has_mcp_tool: has("mcp_namespaced_tool_name"),
            has_endpoint: has("endpoint"),
            has_model_group: has("model_group"),
        }
    }
}

/// What a fold does with one of LiteLLM's tables.
pub enum Finding {
    Found(Target),
    /// The table is not written. Says whether the table exists, and why it is not written.
    Skipped(bool, &'static str),
    /// The fold must not go on. Holds the message and the hint.
    Held(String, &'static str),
}

/// The tables of a fold.
pub struct Targets {
    found: HashMap<Role, Target>,
}

impl Targets {
    /// Reads the targets and locks each one against changes of its shape until the transaction ends.
    ///
    /// # Errors
    /// The fold is held if there is no table to write to, if a table has the wrong shape, or if another session has
    /// locked a table.
    pub fn lock(client: &mut SpiClient) -> Result<std::rc::Rc<Self>> {
        cache::locked(client, &mode_of_fold)
    }

    /// Releases the locks that `lock` took. The caller has read and written nothing under them, or has rolled it back.
    pub fn unlock(&self) {
        cache::unlock(self.locks(&mode_of_fold));
    }

    /// Reads the targets and locks only the tables for which `is_read` is true, and only against changes that a reader
    /// cannot tolerate.
    ///
    /// # Errors
    /// The fold is held if there is no table to write to, if a table has the wrong shape, or if another session has
    /// locked a table.
    pub fn lock_to_read(client: &mut SpiClient, is_read: fn(Role) -> bool) -> Result<std::rc::Rc<Self>> {
        cache::locked(client, &|role| is_read(role).then_some(pg_sys::AccessShareLock))
    }

    pub fn get(&self, role: Role) -> Option<&Target> {
        self.found.get(&role)
    }

    /// The order in which the fold locks and writes the targets. LiteLLM's ledger shows which LiteLLM version uses this
    /// database.
    pub fn order(&self) -> WriteOrder {
        if self.found.contains_key(&Role::Deliveries) { WriteOrder::Since110 } else { WriteOrder::Before110 }
    }

    pub fn daily_shape(&self, kind: DailyKind) -> Option<DailyShape> {
        self.get(Role::Daily(kind)).map(Target::daily_shape)
    }

    /// Reads the catalogue.
    fn look_up(client: &SpiClient, schema: &str) -> Result<Self> {
        let mut found = HashMap::new();
        for (role, finding) in examine(client, schema)? {
            match finding {
                Finding::Found(target) => {
                    found.insert(role, target);
                }
                Finding::Skipped(..) => {}
                Finding::Held(message, hint) => return Err(Error::held(message, hint)),
            }
        }
        if !found.contains_key(&Role::Log) && !found.contains_key(&Role::Daily(DailyKind::User)) {
            return Err(Error::held(
                format!(
                    "schema \"{schema}\" has neither \"{}\" nor \"{}\"",
                    Role::Log.table(),
                    Role::Daily(DailyKind::User).table()
                ),
                "Run LiteLLM's migrations or SELECT * FROM litellm_spend.create_tables(), \
                 or set litellm_spend.target_schema to the schema of LiteLLM's tables.",
            ));
        }
        Ok(Targets { found })
    }

    /// The tables for which `mode_of` names a lock. Their order does not matter, because no session waits for one of
    /// these locks while it holds another.
    fn locks<'t>(&'t self, mode_of: LockMode<'t>) -> impl Iterator<Item = (&'t Table, u32)> {
        Role::all().filter_map(move |role| Some((&self.get(role)?.table, mode_of(role)?)))
    }
}

/// Which lock a table needs for its part in a fold; `None` if it needs none.
type LockMode<'m> = &'m dyn Fn(Role) -> Option<u32>;

fn mode_of_fold(role: Role) -> Option<u32> {
    let is_read = matches!(role, Role::DeprecatedKeys | Role::Deliveries);
    Some(if is_read { pg_sys::AccessShareLock } else { pg_sys::RowExclusiveLock })
}

/// Whether a setting stops the writes of this table.
pub fn is_switched_off(role: Role) -> bool {
    match role.switch() {
        Some(Switch::WriteSpendLogs) => !settings::write_spend_logs(),
        Some(Switch::CountGatewayRequests) => !settings::count_gateway_requests(),
        None => false,
    }
}

/// The finding for each of LiteLLM's tables, in the order of `Role::all`.
pub fn examine(client: &SpiClient, schema: &str) -> Result<Vec<(Role, Finding)>> {
    let names: Vec<&str> = Role::all().map(Role::table).collect();
    let mut tables = catalogue::read(client, schema, &names)?;
    Ok(Role::all().map(|role| (role, finding(role, tables.remove(role.table())))).collect())
}

fn finding(role: Role, table: Option<Table>) -> Finding {
    let Some(table) = table else {
        return Finding::Skipped(false, "the schema has no such table");
    };
    if role.switch() == Some(Switch::CountGatewayRequests) && is_switched_off(role) {
        return Finding::Skipped(true, "litellm_spend.count_gateway_requests is off");
    }
    if role == Role::Deliveries {
        return deliveries_finding(table);
    }
    if !table.is_table && !role.is_target() {
        return Finding::Skipped(true, "it is not a table");
    }
    if !table.is_table {
        return Finding::Held(
            format!("{} is not a table", table.name),
            "Rename the view or foreign table that has LiteLLM's name. The fold writes tables only.",
        );
    }
    if role.is_target() && filled(role).contains(&"spend") && !table.has("spend") {
        return Finding::Skipped(true, "it has no column spend");
    }
    if let Some(rule) = table.rules.iter().find(|rule| role.is_target() && (!rule.is_of_deletes || role.deletes_rows()))
    {
        return Finding::Held(
            format!("rule {} of {} rewrites what the fold writes", quote_identifier(&rule.name), table.name),
            RULE_HINT,
        );
    }
    match role.key() {
        None if role == Role::Log => log_finding(table),
        None => Finding::Found(Target { table, key: None }),
        Some(TableKey { required, optional }) => match table.key(&required, optional) {
            Some(key) => Finding::Found(Target { table, key: Some(key) }),
            None => Finding::Held(
                format!("{} has no valid unique index on just ({})", table.name, required.join(", ")),
                RESTORE_HINT,
            ),
        },
    }
}

/// The finding for the deliveries table. The fold must understand the states of the deliveries, because ignoring them
/// would count requests twice.
fn deliveries_finding(table: Table) -> Finding {
    let not_a_table = (!table.is_table).then(|| format!("{} is not a table", table.name));
    match not_a_table.or_else(|| delivery_states::obstacle(&table)) {
        Some(obstacle) => Finding::Held(obstacle, delivery_states::SHAPE_HINT),
        None => Finding::Found(Target { table, key: None }),
    }
}

/// The finding for the log. A log that is partitioned by "startTime" needs a unique index on "startTime" and the
/// request id. Any other log needs one on just the request id.
fn log_finding(table: Table) -> Finding {
    let by_time: &[&str] = if table.is_partitioned { &["startTime"] } else { &[] };
    match table.key(&["request_id"], by_time) {
        Some(key) => Finding::Found(Target { table, key: Some(key) }),
        None => {
            let columns: Vec<&str> = ["request_id"].iter().chain(by_time).copied().collect();
            Finding::Held(
                format!("{} has no valid unique index on just ({})", table.name, columns.join(", ")),
                RESTORE_HINT,
            )
        }
    }
}
