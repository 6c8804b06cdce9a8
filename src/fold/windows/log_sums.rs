//! What the log holds of budget windows that have no row yet. Such a sum may take as long as the log is large, and
//! a migration that waits for one of the fold's locks makes everybody wait behind it. So a fold that lacks a sum is
//! rolled back and gives its locks back, and the next one adds the log up before it locks a target. It holds the
//! cursor from then on: no fold can log a request between the sum and the batch that is added to it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use litellm_spend_core::budget_window::HOLDERS;
use litellm_spend_core::entity::EntityKind;
use litellm_spend_core::moment::Moment;
use pgrx::datum::Timestamp;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::error::{Error, Result};
use crate::fold::log::timestamp;
use crate::fold::owner;
use crate::fold::targets::{Role, Targets};
use crate::{origin, subtransaction};

/// A window as the log knows it: its key or team, and when it starts.
pub type LoggedWindow = (EntityKind, String, Moment);

thread_local! {
    /// The sums that were read, and which version of the cursor's row they belong to.
    static KNOWN: RefCell<(String, BTreeMap<LoggedWindow, f64>)> = RefCell::default();
    /// Those that a fold lacks.
    static WANTED: RefCell<BTreeSet<LoggedWindow>> = RefCell::default();
}

/// What the log held of a window before this fold. 0 for one that is not added up yet, and then `require_all`
/// fails.
pub fn of(window: LoggedWindow) -> f64 {
    KNOWN.with_borrow(|(_, known)| known.get(&window).copied()).unwrap_or_else(|| {
        WANTED.with_borrow_mut(|wanted| wanted.insert(window));
        0.0
    })
}

/// Whether a fold has found that it lacks sums.
pub fn are_lacking() -> bool {
    !WANTED.with_borrow(BTreeSet::is_empty)
}

/// # Errors
/// A sum is lacking: nothing may be written.
pub fn require_all() -> Result<()> {
    if !are_lacking() {
        return Ok(());
    }
    Err(Error::held("the log must be added up for a budget window first", "The fold does so and begins anew."))
}

/// Reads the sums that the last fold lacked, under the cursor's lock and before any target is locked. Forgets those
/// from before a fold that has counted something, which has logged it too.
pub fn read_lacking() -> Result<()> {
    if !are_lacking() && KNOWN.with_borrow(|(_, known)| known.is_empty()) {
        return Ok(());
    }
    let version = Spi::connect(cursor_version)?;
    KNOWN.with_borrow_mut(|(of_version, known)| {
        if *of_version != version {
            known.clear();
            *of_version = version;
        }
    });
    let is_known = |window: &LoggedWindow| KNOWN.with_borrow(|(_, known)| known.contains_key(window));
    let wanted: Vec<LoggedWindow> = WANTED.take().into_iter().filter(|window| !is_known(window)).collect();
    if !wanted.is_empty() {
        let sums = subtransaction::rehearse(|| Spi::connect_mut(|client| add_up(client, &wanted)));
        let sums = sums.map_err(Error::Failed)?;
        KNOWN.with_borrow_mut(|(_, known)| known.extend(wanted.into_iter().zip(sums)));
    }
    Ok(())
}

/// Another text after each fold that counts.
fn cursor_version(client: &SpiClient) -> Result<String> {
    let found = client.select(
        "SELECT pg_catalog.format('%s %s', c.xmin, c.ctid) FROM litellm_spend.fold_cursor c WHERE c.origin = $1",
        Some(1),
        &[origin::this_database().into()],
    )?;
    Ok(found.first().get(1)?.unwrap_or_default())
}

/// The sums of `windows`, in their order.
fn add_up(client: &mut SpiClient, windows: &[LoggedWindow]) -> Result<Vec<f64>> {
    let mut sums = vec![0.0; windows.len()];
    let targets = Targets::lock_to_read(client, |role| role == Role::Log)?;
    let Some(log) = targets.get(Role::Log) else { return Ok(sums) };
    for holder in HOLDERS {
        let of_holder: Vec<usize> = (0..windows.len()).filter(|at| windows[*at].0 == holder).collect();
        let Some(first) = of_holder.iter().map(|at| windows[*at].2).min() else { continue };
        let column = if holder == EntityKind::Key { "api_key" } else { "team_id" };
        let query = format!(
            "SELECT b.n, pg_catalog.sum(l.spend)::pg_catalog.float8
             FROM unnest($1::pg_catalog.text[], $2::pg_catalog.timestamp[]) WITH ORDINALITY AS b (id, start, n)
             JOIN {} AS l ON l.{column} = b.id AND l.\"startTime\" >= b.start AND l.\"startTime\" >= $3
             GROUP BY b.n",
            log.table.name
        );
        let ids: Vec<&str> = of_holder.iter().map(|at| windows[*at].1.as_str()).collect();
        let starts: Vec<Timestamp> = of_holder.iter().map(|at| timestamp(windows[*at].2)).collect();
        let arguments = [ids.into(), starts.into(), timestamp(first).into()];
        owner::act_as(client, log.table.owner, |client| {
            // No kept plan, as in the log: that would lock every partition.
            for row in client.update(&query, None, &arguments)? {
                let n = row.get::<i64>(1)?.and_then(|n| usize::try_from(n).ok());
                if let Some(at) = n.and_then(|n| of_holder.get(n.wrapping_sub(1))) {
                    sums[*at] = row.get(2)?.unwrap_or(0.0);
                }
            }
            Ok(())
        })?;
    }
    Ok(sums)
}
