//! Finds which rows and locks other sessions hold, after a fold has waited for one in vain. Each look rolls back the
//! locks that it takes, so that a fold waits for rows in LiteLLM's order alone (invariant 8).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use litellm_spend_core::litellm::tables::{EntityKind, Role};
use litellm_spend_core::totals::{Totals, columns};
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiTupleTable, quote_identifier};

use crate::error::{Error, Result};
use crate::fold::row_key::Key;
use crate::fold::write::budget_windows::Windows;
use crate::fold::write::members;
use crate::postgres::batch_table::{self, Type, Value};
use crate::postgres::failure::Failure;
use crate::postgres::{owner, pinned_settings, plans, subtransaction};
use crate::targets::{Target, Targets};

mod lockers;

/// How long a fold waits for one row that other sessions lock again and again. A look that does not wait would miss
/// such a row for ever.
pub const WAIT_FOR_ONE: Duration = Duration::from_millis(100);
/// How long a fold waits for all rows that other sessions lock again and again.
const WAIT_FOR_ALL: Duration = Duration::from_millis(200);
/// The most rows that a look waits for, each in a subtransaction. Every further row is read as held.
const MOST_AWAITED: usize = 8;
/// The most sessions that a message names.
const MOST_NAMED: i64 = 5;

/// The columns of the key by which a fold finds rows of a target.
fn key_columns(role: Role, target: &Target) -> Vec<String> {
    let required = || role.key().into_iter().flat_map(|key| key.required).map(str::to_owned).collect();
    match role {
        Role::Entity(_) | Role::WindowSpend => required(),
        Role::Deliveries => vec!["delivery_id".to_owned()],
        _ => target.key.iter().flat_map(|key| key.columns.clone()).collect(),
    }
}

/// The rows of one target that a fold of `totals` changes.
pub fn keys_of(role: Role, target: &Target, totals: &Totals, windows: &Windows) -> Vec<Key> {
    let names = key_columns(role, target);
    let parts = match role {
        Role::WindowSpend => windows.keys(),
        role => columns::keys(&totals.columns(role), names.iter().map(String::as_str)),
    };
    parts.into_iter().map(|parts| Key { role, parts }).collect()
}

/// The rows of all targets that a fold of `totals` changes.
pub fn keys(targets: &Targets, totals: &Totals, windows: &Windows) -> Vec<Key> {
    Role::all()
        .filter_map(|role| Some((role, targets.get(role)?)))
        .flat_map(|(role, target)| keys_of(role, target, totals, windows))
        .collect()
}

/// The result of a look at rows.
#[derive(Default)]
pub struct Look {
    /// Rows that other sessions hold. A row that does not exist is not among them.
    pub held: Vec<Key>,
    /// Other rows, which one session after the other locks. A fold that waits for such a row gets it.
    pub busy: Vec<Key>,
}

/// Finds which of `keys` other sessions hold.
pub fn held(targets: &Targets, keys: &[Key]) -> Result<Look> {
    if keys.is_empty() {
        return Ok(Look::default());
    }
    let missed = looked_at(|| missed(targets, keys))?;
    let (missed, busy) = lockers::divide(targets, missed)?;
    let mut look = Look { held: Vec::new(), busy };
    let deadline = Instant::now() + WAIT_FOR_ALL;
    for (at, key) in missed.into_iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now()).min(WAIT_FOR_ONE);
        if at >= MOST_AWAITED || left.is_zero() || !comes_free(targets, &key, left)? {
            look.held.push(key);
        } else {
            look.busy.push(key);
        }
    }
    Ok(look)
}

/// Runs a look and rolls its locks back.
fn looked_at<R>(look: impl FnOnce() -> Result<R>) -> Result<R> {
    subtransaction::rehearse(look).map_err(Error::Failed)
}

/// The keys whose rows exist and cannot be locked at this moment.
fn missed(targets: &Targets, keys: &[Key]) -> Result<Vec<Key>> {
    let mut missed = Vec::new();
    let members: Vec<&Key> = keys.iter().filter(|key| key.role == Role::Entity(EntityKind::TeamMember)).collect();
    if !members.is_empty() {
        let teams = Spi::connect_mut(|client| {
            let mut teams = members::teams_to_lock(client, targets, members.iter().filter(|key| key.team().is_none()))?;
            teams.extend(members.iter().filter_map(|key| key.team()).map(str::to_owned));
            members::locked_teams(client, teams)
        })?;
        missed.extend(teams.iter().map(|team| Key::of_team(team)));
    }
    for (role, target, of_role) in rows_by_target(targets, keys) {
        let there = select(role, target, &of_role, "")?;
        let free = select(role, target, &of_role, "FOR NO KEY UPDATE OF t SKIP LOCKED")?;
        missed.extend(there.difference(&free).filter_map(|at| of_role.get(*at)).map(|key| (*key).clone()));
    }
    Ok(missed)
}

/// The keys that name rows and not locks of teams, grouped by the target that has the rows.
fn rows_by_target<'t, 'k>(
    targets: &'t Targets,
    keys: impl IntoIterator<Item = &'k Key> + Clone,
) -> impl Iterator<Item = (Role, &'t Target, Vec<&'k Key>)> {
    Role::all().filter_map(move |role| {
        let is_row = |key: &&Key| key.role == role && key.team().is_none();
        let of_role: Vec<&Key> = keys.clone().into_iter().filter(is_row).collect();
        let target = targets.get(role).filter(|_| !of_role.is_empty())?;
        Some((role, target, of_role))
    })
}

/// The indexes of the keys whose rows a query with this locking clause finds.
fn select(role: Role, target: &Target, keys: &[&Key], locking: &str) -> Result<HashSet<usize>> {
    join(role, target, keys, "b.n", locking, |found| {
        let mut indexes = HashSet::new();
        for row in found {
            indexes.extend(row.get::<i64>(1)?.and_then(|n| usize::try_from(n).ok()));
        }
        Ok(indexes)
    })
}

/// Reads `wanted` from the rows of these keys.
fn join<R>(
    role: Role,
    target: &Target,
    keys: &[&Key],
    wanted: &str,
    locking: &str,
    read: impl FnOnce(SpiTupleTable) -> Result<R>,
) -> Result<R> {
    let columns = key_columns(role, target);
    let statement = format!(
        "SELECT {wanted} FROM batch AS b JOIN {} AS t ON {} {locking}",
        target.table.name,
        columns.iter().map(|column| same(target, column)).collect::<Vec<_>>().join(" AND ")
    );
    let types: Vec<(&str, Type)> =
        std::iter::once(("n", Type::Count)).chain(columns.iter().map(|column| (column.as_str(), Type::Text))).collect();
    let fill = |rows: &mut batch_table::Rows| {
        for (n, key) in (0..).zip(keys) {
            let parts = key.parts.iter().take(columns.len()).map(|part| Value::Text(part));
            rows.push(&std::iter::once(Value::Count(n)).chain(parts).collect::<Vec<_>>());
        }
    };
    Spi::connect_mut(|client| {
        owner::act_as(client, target.table.owner, |_| batch_table::run(&statement, &types, fill, read))
    })
}

fn same(target: &Target, column: &str) -> String {
    let name = quote_identifier(column);
    match target.table.columns.get(column) {
        Some(found) if found.type_name != "text" => format!("t.{name} = b.{name}::{}", found.type_name),
        _ => format!("t.{name} = b.{name}"),
    }
}

/// Whether a row or a team can be locked within `wait`.
fn comes_free(targets: &Targets, key: &Key, wait: Duration) -> Result<bool> {
    let Some(target) = targets.get(key.role) else { return Ok(true) };
    let outcome = subtransaction::rehearse(|| {
        pinned_settings::waiting_at_most(wait, || match key.team() {
            Some(team) => Spi::connect_mut(|client| members::lock_team(client, team)),
            None => select(key.role, target, &[key], "FOR NO KEY UPDATE OF t").map(|_| ()),
        })
    });
    match outcome {
        Ok(_) => Ok(true),
        Err(failure) if failure.is_lock() => Ok(false),
        Err(failure) => Err(Error::Failed(failure)),
    }
}

/// Describes for people which tables have rows among these keys, whether locks of teams are among them, and which
/// sessions hold them.
pub fn described(client: &mut SpiClient, targets: &Targets, keys: &HashSet<Key>) -> Result<String> {
    let (mut what, mut tables) = (Vec::new(), Vec::new());
    for (_, target, _) in rows_by_target(targets, keys) {
        what.push(format!("rows of {}", target.table.name));
        tables.push(target.table.oid);
    }
    let tables_are_named = !tables.is_empty();
    let teams: Vec<&str> = keys.iter().filter_map(Key::team).collect();
    if !teams.is_empty() {
        what.push("the advisory lock of a team".to_owned());
    }
    let lockers: HashSet<String> = lockers::of_keys(targets, keys)?.into_values().collect();
    let lockers: Vec<String> = lockers.into_iter().collect();
    let arguments = [lockers.into(), teams.into(), tables.into(), MOST_NAMED.into()];
    let found = plans::run(client, HOLDERS, &arguments)?;
    let holders: Option<String> = found.first().get(1)?;
    let holders = holders.unwrap_or_else(|| " by a session that has ended meanwhile".to_owned());
    let verb = if tables_are_named { "are locked" } else { "is held" };
    Ok(format!("{} {verb}{holders}", what.join(" and ")))
}

/// The sessions that hold the transactions $1 or the locks of the teams $2. If no session does, the sessions that have
/// locked any row of the tables $3: no session does where a row is being created, or where several sessions have locked
/// a row.
const HOLDERS: &str = "
    WITH locks AS MATERIALIZED (
        SELECT l.locktype, l.pid, l.transactionid, l.relation, l.mode, l.objid, l.objsubid,
               coalesce('process ' || l.pid, 'the prepared transaction ' || pg_catalog.quote_literal(p.gid),
                        'a prepared transaction') AS who
        FROM pg_catalog.pg_locks AS l
        LEFT JOIN pg_catalog.pg_prepared_xacts AS p ON l.pid IS NULL AND p.transaction = l.transactionid
        WHERE l.granted AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
          AND (l.database IS NULL OR l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
                                                   WHERE d.datname = pg_catalog.current_database()))
    ), certain AS (
        SELECT l.who FROM locks AS l
        WHERE l.locktype = 'transactionid' AND l.transactionid::pg_catalog.text = ANY ($1)
           OR l.locktype = 'advisory' AND l.objsubid = 1
              AND l.objid IN (SELECT (pg_catalog.hashtext(t.team)::pg_catalog.int8 & 4294967295)::pg_catalog.oid
                              FROM unnest($2) AS t (team))
    ), possible AS (
        SELECT l.who FROM locks AS l
        WHERE l.locktype = 'relation' AND l.relation = ANY ($3) AND l.mode IN ('RowShareLock', 'RowExclusiveLock')
        LIMIT $4
    )
    SELECT coalesce(' by ' || (SELECT pg_catalog.string_agg(DISTINCT c.who, ', ') FROM certain AS c),
                    ', perhaps by ' || (SELECT pg_catalog.string_agg(DISTINCT p.who, ', ') FROM possible AS p))";

/// The keys of one record whose creation waits for another session. The targets are written one by one, each for this
/// record alone. `write` writes one target.
pub fn held_by_creation(
    targets: &Targets,
    totals: &Totals,
    windows: &Windows,
    write: impl Fn(Role) -> Result<()>,
) -> Result<Vec<Key>> {
    let keys = |role| targets.get(role).map_or_else(Vec::new, |target| keys_of(role, target, totals, windows));
    let roles: Vec<Role> = targets.order().targets().filter(|role| !keys(*role).is_empty()).collect();
    let all = || roles.iter().try_for_each(|role| write(*role));
    if subtransaction::rehearse(|| pinned_settings::waiting_at_most(WAIT_FOR_ONE, all)).is_ok() {
        return Ok(Vec::new());
    }
    let mut held = Vec::new();
    for role in roles {
        match subtransaction::rehearse(|| pinned_settings::waiting_at_most(WAIT_FOR_ONE, || write(role))) {
            Ok(()) => {}
            Err(failure) if failure.is_lock() => held.extend(keys(role)),
            Err(Failure { .. }) => break,
        }
    }
    Ok(held)
}
