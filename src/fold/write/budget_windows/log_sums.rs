//! What the log holds of budget windows that have no row yet. The larger the log is, the longer such a sum takes. A
//! migration that waits for one of the fold's locks makes all other sessions wait behind it. A fold that lacks a sum is
//! therefore rolled back and releases its locks. The next fold adds the log up before it locks a target. It holds the
//! cursor from then on, so no fold can log a request between the sum and the batch that is added to it. It also holds
//! the deliveries of rows that LiteLLM has logged and not charged yet, which the sum leaves out (`deliveries`). LiteLLM
//! adds them to the window's row once that row exists.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use litellm_spend_core::litellm::tables::{EntityKind, Role};
use litellm_spend_core::moment::Moment;
use litellm_spend_core::totals::budget_windows::HOLDERS;
use pgrx::datum::Timestamp;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::error::{Error, Result};
use crate::fold::admit::deliveries::{self, Locked};
use crate::fold::row_key::Key;
use crate::postgres::timestamp::timestamp;
use crate::postgres::{owner, subtransaction};
use crate::staging::cluster_id;
use crate::targets::Targets;

/// A window as the log knows it: its key or team, and its start.
pub type LoggedWindow = (EntityKind, String, Moment);

/// The sums that were read.
#[derive(Default)]
struct Known {
    /// The version of the cursor's row to which the sums belong.
    cursor: String,
    /// The transaction that holds deliveries for the sums. Without that transaction the sums are no longer true.
    holder: Option<u64>,
    sums: BTreeMap<LoggedWindow, f64>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
    /// The windows whose sums a fold lacks.
    static WANTED: RefCell<BTreeSet<LoggedWindow>> = RefCell::default();
}

/// What the log held of a window before this fold. Returns 0 for a window that is not added up yet; `require_all` then
/// fails.
pub fn of(window: LoggedWindow) -> f64 {
    KNOWN.with_borrow(|known| known.sums.get(&window).copied()).unwrap_or_else(|| {
        WANTED.with_borrow_mut(|wanted| wanted.insert(window));
        0.0
    })
}

/// Whether a fold has found that it lacks sums.
pub fn are_lacking() -> bool {
    !WANTED.with_borrow(BTreeSet::is_empty)
}

/// Checks that a fold lacks no sum.
///
/// # Errors
/// A sum is lacking, so nothing may be written.
pub fn require_all() -> Result<()> {
    if !are_lacking() {
        return Ok(());
    }
    Err(Error::held(
        "the log must be added up for a budget window first",
        "No action is needed. The fold adds the log up and starts again.",
    ))
}

/// Reads the sums that the last fold lacked, under the cursor's lock and before any target is locked. Forgets the sums
/// from before a fold that has counted something, because that fold has logged it too. Reads again the sums for which
/// another transaction held deliveries.
///
/// Returns the deliveries that another session holds. The windows whose sum needs one of them are no longer wanted,
/// because their records are to be postponed.
pub fn read_lacking() -> Result<Vec<Key>> {
    if !are_lacking() && KNOWN.with_borrow(|known| known.sums.is_empty()) {
        return Ok(Vec::new());
    }
    let cursor = Spi::connect(cursor_version)?;
    let this_transaction = subtransaction::this_transaction();
    KNOWN.with_borrow_mut(|known| {
        if known.cursor != cursor {
            *known = Known { cursor, ..Known::default() };
        } else if known.holder.is_some_and(|holder| holder != this_transaction) {
            WANTED.with_borrow_mut(|wanted| wanted.extend(std::mem::take(&mut known.sums).into_keys()));
            known.holder = None;
        }
    });
    let is_known = |window: &LoggedWindow| KNOWN.with_borrow(|known| known.sums.contains_key(window));
    WANTED.with_borrow_mut(|wanted| wanted.retain(|window| !is_known(window)));
    // The windows stay wanted if this fails.
    let mut wanted: Vec<LoggedWindow> = WANTED.with_borrow(|wanted| wanted.iter().cloned().collect());
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (mut locked, mut held) = (0, Vec::new());
    for (holder, of_holder) in by_holder(&wanted) {
        let deliveries = lock_deliveries(holder, &of_holder)?;
        locked += deliveries.count;
        held.extend(deliveries.held.into_iter().map(|(id, delivery)| Key::of_delivery(delivery, holder, id)));
    }
    wanted.retain(|(holder, id, _)| !held.iter().any(|key| key.is_of_windows_of(*holder, id)));
    let sums = subtransaction::rehearse(|| Spi::connect_mut(|client| add_up(client, &wanted)));
    let sums = sums.map_err(Error::Failed)?;
    WANTED.take();
    KNOWN.with_borrow_mut(|known| {
        known.sums.extend(wanted.into_iter().zip(sums));
        if locked > 0 {
            known.holder = Some(subtransaction::this_transaction());
        }
    });
    Ok(held)
}

/// The version of the cursor's row: a text that changes with each fold that counts.
fn cursor_version(client: &SpiClient) -> Result<String> {
    let found = client.select(
        "SELECT pg_catalog.format('%s %s', c.xmin, c.ctid) FROM litellm_spend.fold_cursor c WHERE c.origin = $1",
        Some(1),
        &[cluster_id::this_database().into()],
    )?;
    Ok(found.first().get(1)?.unwrap_or_default())
}

/// Each kind of holder that has windows, with the places of its windows in `windows`.
fn by_holder(windows: &[LoggedWindow]) -> impl Iterator<Item = (EntityKind, OfHolder<'_>)> {
    HOLDERS.into_iter().filter_map(|holder| {
        let places: Vec<usize> = (0..windows.len()).filter(|at| windows[*at].0 == holder).collect();
        let first = places.iter().map(|at| windows[*at].2).min()?;
        let ids = places.iter().map(|at| windows[*at].1.as_str()).collect();
        let starts = places.iter().map(|at| timestamp(windows[*at].2)).collect();
        Some((holder, OfHolder { places, ids, starts, first: timestamp(first) }))
    })
}

/// Windows of one kind of holder.
struct OfHolder<'w> {
    places: Vec<usize>,
    ids: Vec<&'w str>,
    starts: Vec<Timestamp>,
    /// The earliest of the starts.
    first: Timestamp,
}

/// The log's column that names the key or team that was charged.
fn logged_id(holder: EntityKind) -> &'static str {
    if holder == EntityKind::Key { "api_key" } else { "team_id" }
}

/// Locks the deliveries of these windows that LiteLLM has yet to charge.
fn lock_deliveries(holder: EntityKind, windows: &OfHolder) -> Result<Locked> {
    let id = logged_id(holder);
    let condition = format!("l.{id} = ANY ($1) AND l.\"startTime\" >= $2");
    deliveries::lock_free(id, &condition, || vec![windows.ids.clone().into(), windows.first.into()])
}

/// The sums of `windows`, in the same order.
fn add_up(client: &mut SpiClient, windows: &[LoggedWindow]) -> Result<Vec<f64>> {
    let mut sums = vec![0.0; windows.len()];
    let targets = Targets::lock_to_read(client, |role| matches!(role, Role::Log | Role::Deliveries))?;
    let Some(log) = targets.get(Role::Log) else { return Ok(sums) };
    let not_charged = deliveries::not_charged(&targets, &log.table)?;
    for (holder, of_holder) in by_holder(windows) {
        let query = format!(
            "SELECT b.n, pg_catalog.sum(l.spend)::pg_catalog.float8
             FROM unnest($1::pg_catalog.text[], $2::pg_catalog.timestamp[]) WITH ORDINALITY AS b (id, start, n)
             JOIN {} AS l ON l.{} = b.id AND l.\"startTime\" >= b.start AND l.\"startTime\" >= $3
             WHERE NOT {not_charged}
             GROUP BY b.n",
            log.table.name,
            logged_id(holder)
        );
        let arguments = [of_holder.ids.into(), of_holder.starts.into(), of_holder.first.into()];
        owner::act_as(client, log.table.owner, |client| {
            // The plan is not kept, because a kept plan locks every partition.
            for row in client.update(&query, None, &arguments)? {
                let n = row.get::<i64>(1)?.and_then(|n| usize::try_from(n).ok());
                if let Some(at) = n.and_then(|n| of_holder.places.get(n.wrapping_sub(1))) {
                    sums[*at] = row.get(2)?.unwrap_or(0.0);
                }
            }
            Ok(())
        })?;
    }
    Ok(sums)
}
