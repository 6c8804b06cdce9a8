//! What `litellm_spend.health()` asks the library: from when on a delay is worth an alert. The judgement
//! itself is sql/health.sql.

use std::time::Duration;

use pgrx::prelude::*;

use crate::settings;

/// Folds that may be missed before a lag is called slow: it is then no single late fold.
const SLOW_FOLDS: u32 = 100;
/// How many times slow a lag must be, with nothing that folds, before it is called stuck; and how many
/// times `litellm_spend.truncate_delay` a transaction may keep a segment.
const STUCK: u32 = 10;
/// The interval that counts where `litellm_spend.fold_interval` is shorter: what a fold itself may take.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// From which lag on folds are slow, from which on they are stuck, and from which age on a transaction
/// that keeps a staging segment is too long; all of them follow from the settings.
#[pg_extern(stable, parallel_safe, schema = "litellm_spend")]
fn alert_bounds() -> std::result::Result<
    TableIterator<'static, (name!(slow, Interval), name!(stuck, Interval), name!(pinned, Interval))>,
    pgrx::pg_sys::panic::ErrorReport,
> {
    // A fold may wait this long for a table before it gives way, which is no fault yet.
    let slow = settings::fold_interval().max(SHORTEST_INTERVAL) * SLOW_FOLDS + settings::lock_timeout();
    let stuck = slow * STUCK;
    let pinned = slow.max(settings::truncate_delay() * STUCK);
    Ok(TableIterator::once((interval(slow), interval(stuck), interval(pinned))))
}

fn interval(duration: Duration) -> Interval {
    // The longest that the settings allow is ten days, far below the type's bound.
    Interval::from_micros(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}
