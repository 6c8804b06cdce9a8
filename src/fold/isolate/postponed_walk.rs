//! Walks over the postponed rows, one batch per fold, again and again while any row is left.

use std::cell::Cell;
use std::time::{Duration, Instant};

use litellm_spend_core::snapshot::window::Position;
use pgrx::prelude::*;

use super::{contention, held, verdict};
use crate::error::{Error, Result};
use crate::fold::count::Count;
use crate::staging::postponed;
use crate::targets::Targets;

/// The most records of a batch that are tried, to find rows that other sessions are creating.
const MOST_TRIED: usize = 2;
/// Where a walk over the rows begins.
pub const BEGINNING: Position = (0, -1);
/// The longest pause before the next walk while nothing is known to be held. A walk begins by itself because another
/// session's fold may have postponed rows.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause before the next walk while something is known to be held.
const LONGEST_PAUSE_WHILE_HELD: Duration = Duration::from_secs(60);

thread_local! {
    static WALK: Cell<Walk> = const { Cell::new(Walk { after: Some(BEGINNING), has_counted: false, ended: None }) };
}

/// A walk over all postponed rows, one batch per fold.
#[derive(Clone, Copy)]
struct Walk {
    /// The last row that the walk has looked at; `None` at the end of the walk.
    after: Option<Position>,
    has_counted: bool,
    ended: Option<Instant>,
}

/// The position after which the walk goes on; `None` if it is not time for that.
pub fn next() -> Option<Position> {
    if pause().is_zero() { WALK.get().after.or(Some(BEGINNING)) } else { None }
}

/// How long until the walk goes on, or until the next walk begins by itself.
pub fn pause() -> Duration {
    let walk = WALK.get();
    match (walk.after, walk.ended) {
        (None, Some(ended)) => {
            let pause = if held::any() { LONGEST_PAUSE_WHILE_HELD } else { LONGEST_PAUSE };
            pause.saturating_sub(ended.elapsed())
        }
        _ => Duration::ZERO,
    }
}

/// Begins a walk over all rows.
pub fn begin() {
    WALK.set(Walk { after: Some(BEGINNING), has_counted: false, ended: None });
}

/// Notes how far the walk has come (`None`: to its end) and whether it has just counted a row.
pub fn go_on(after: Option<Position>, has_counted: bool) {
    let has_counted = has_counted || WALK.get().has_counted;
    let ended = after.is_none().then(Instant::now);
    if ended.is_some() && has_counted {
        held::relax();
    }
    WALK.set(Walk { after, has_counted: has_counted && ended.is_none(), ended });
}

/// Finds which rows the next batch needs and other sessions hold, before anything is written for the batch.
pub fn learn_what_is_held(after: Position, rows: usize) -> Result<()> {
    let targets = Spi::connect_mut(Targets::lock)?;
    let mut count = Count::of(targets.clone());
    let batch = Spi::connect_mut(|client| {
        let batch = postponed::read(client, after, rows)?;
        count.sum_up(client, &batch.rows)?;
        Ok::<_, Error>(batch)
    })?;
    held::add(&targets, contention::held(&targets, &held::unknown(count.keys()))?.held)?;
    // A row that another session is creating cannot be seen. The first records that seem free are therefore tried.
    for _ in 0..MOST_TRIED {
        let Some(row) = verdict::first_free(&targets, &batch.rows)? else { break };
        if !held::add(&targets, verdict::keys_held_from(&targets, row)?)? {
            break;
        }
    }
    Ok(())
}
