//! The pace of this process: how much its next fold reads and writes (`litellm_spend_core::pace`).

use std::cell::Cell;
use std::time::Duration;

use litellm_spend_core::pace::{Bounds, FoldedBy, Pace};
use pgrx::spi::SpiClient;

use crate::error::Result;
use crate::postgres::plans;
use crate::settings;

thread_local! {
    static PACE: Cell<Pace> = const { Cell::new(Pace::new()) };
}

/// Whether any session waits for a lock that this session holds: a lock of a row, a team or a table.
const SOMEBODY_WAITS: &str = "
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_locks AS waiting
        WHERE NOT waiting.granted
          AND pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(waiting.pid)))";

/// The current pace.
pub fn now() -> Pace {
    PACE.get()
}

/// Changes the pace for the next fold.
pub fn change<R>(by: impl FnOnce(&mut Pace) -> R) -> R {
    let mut pace = PACE.get();
    let outcome = by(&mut pace);
    PACE.set(pace);
    outcome
}

/// The bounds that the settings give.
pub fn bounds() -> Bounds {
    Bounds { batch_rows: settings::batch_rows(), fold_rows: settings::fold_rows() }
}

/// Learns from a write before it is committed, because after the commit this session can no longer see who waited for
/// it.
pub fn learn(client: &mut SpiClient, by: FoldedBy, rows: usize, took: Duration) -> Result<()> {
    if now().learns_from(by, rows, took) {
        let somebody_waits = somebody_waits(client)?;
        change(|pace| pace.after_write(rows, took, somebody_waits));
    }
    Ok(())
}

/// Whether any session waits for this session.
pub fn somebody_waits(client: &mut SpiClient) -> Result<bool> {
    let found: Option<bool> = plans::run(client, SOMEBODY_WAITS, &[])?.first().get(1)?;
    Ok(found == Some(true))
}
