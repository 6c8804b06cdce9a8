//! `litellm_spend.fold`: folds in the caller's session.

use litellm_spend_core::pace::FoldedBy;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::Result;
use crate::fold::isolate::{held, postponed_walk};
use crate::fold::pass::{fold_once, retry_postponed};
use crate::fold::{preconditions, version};
use crate::postgres::{own_tables, pinned_settings, subtransaction};
use crate::settings;
use crate::staging::{cursor, postponed, rotation};

/// Folds the records that are committed now, in the caller's session and up to a bound. Returns how many staged rows it
/// consumed, or 0 if the only rows left need rows that other sessions hold. It works without the preload line and
/// beside a running worker.
#[pg_extern(volatile, parallel_unsafe, security_definer, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
fn fold() -> std::result::Result<i64, ErrorReport> {
    preconditions::refuse_in_a_transaction()?;
    let rows = pinned_settings::pinned(|| -> Result<usize> {
        own_tables::lock_patiently()?;
        version::check()?;
        // A window that was already open ends at a snapshot older than this call.
        let mut window_is_old = Spi::connect_mut(cursor::has_open_window)?;
        postponed_walk::begin();
        held::make_due();
        let mut rows = 0;
        while !(rows > 0 && is_enough(rows)) {
            let folded = match retry_postponed(postponed::exists()?, FoldedBy::Caller)? {
                Some(folded) => folded,
                None => fold_once(FoldedBy::Caller)?,
            };
            rows += folded.rows;
            if !folded.more && !std::mem::take(&mut window_is_old) {
                break;
            }
        }
        rotation::rotate_or_warn();
        Ok(rows)
    })?;
    Ok(i64::try_from(rows).unwrap_or(i64::MAX))
}

/// Whether one call of `fold()` has done enough. Its transaction locks every row that it has changed, and many
/// subtransactions slow down every session of the server.
fn is_enough(rows: usize) -> bool {
    const MOST_SUBTRANSACTIONS: usize = 8;
    rows >= settings::fold_rows() || subtransaction::begun() >= MOST_SUBTRANSACTIONS
}
