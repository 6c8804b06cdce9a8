//! The delays from which `litellm_spend.health()` raises an alert. sql/health.sql decides the state.

use std::time::Duration;

use pgrx::prelude::*;

use crate::settings;

/// Fold intervals that may pass before a lag counts as slow. A single late fold does not cause so long a lag.
const SLOW_FOLDS: u32 = 100;
/// A lag this many times the slow lag counts as stuck when nothing folds. A transaction may keep a segment for this
/// many times `litellm_spend.truncate_delay`.
const STUCK: u32 = 10;
/// The interval that is used if `litellm_spend.fold_interval` is shorter, because a fold itself takes time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// The lag from which folds are slow, the lag from which they are stuck, and the age from which a transaction keeps a
/// staging segment for too long. All three follow from the settings.
#[pg_extern(stable, parallel_safe, schema = "litellm_spend")]
fn alert_bounds() -> std::result::Result<
    TableIterator<'static, (name!(slow, Interval), name!(stuck, Interval), name!(pinned, Interval))>,
    pgrx::pg_sys::panic::ErrorReport,
> {
    // A fold may wait as long as lock_timeout for a table before it gives way. Such a wait is no fault.
    let slow = settings::fold_interval().max(SHORTEST_INTERVAL) * SLOW_FOLDS + settings::lock_timeout();
    let stuck = slow * STUCK;
    let pinned = slow.max(settings::truncate_delay() * STUCK);
    Ok(TableIterator::once((interval(slow), interval(stuck), interval(pinned))))
}

fn interval(duration: Duration) -> Interval {
    // The settings allow ten days at most, far below the bound of the type.
    Interval::from_micros(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}
