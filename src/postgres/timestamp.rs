//! Converts moments to Postgres's timestamps, and back.

use litellm_spend_core::moment::Moment;
use pgrx::datum::{Date, Timestamp};

/// Postgres counts microseconds from 2000-01-01.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// The timestamp, in UTC, of a moment.
pub fn timestamp(moment: Moment) -> Timestamp {
    // A moment lies within years 1 to 9999, which Postgres's range includes.
    Timestamp::saturating_from_raw(moment.micros() - POSTGRES_EPOCH)
}

/// The moment of a raw timestamp. A timestamp out of range becomes the last moment.
pub fn moment(raw: i64) -> Moment {
    Moment::from_micros(raw.saturating_add(POSTGRES_EPOCH)).unwrap_or(Moment::LAST)
}

/// When this transaction began.
pub fn transaction_start() -> Moment {
    // SAFETY: this reads the start of the transaction, in microseconds since 2000.
    moment(unsafe { pgrx::pg_sys::GetCurrentTransactionStartTimestamp() })
}

/// The date that is `days` days after 2000-01-01, as `Date::to_pg_epoch_days` counts days.
pub fn date(days: i32) -> Date {
    // SAFETY: the caller passes days that came from a date, so the number is in range.
    unsafe { Date::from_pg_epoch_days(days) }
}
