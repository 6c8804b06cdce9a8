//! Points in time as LiteLLM sends them: epoch seconds (a number) or ISO-8601 text. A text without an offset is UTC.
//! They are kept as microseconds since 1970-01-01 UTC, which is PostgreSQL's own resolution.

use std::fmt;

use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use crate::json::Json;

/// A point in time: microseconds since 1970-01-01 00:00 UTC, within the years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

/// The reason why a value is not a point in time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MomentError {
    #[error("is neither epoch seconds nor an ISO-8601 time")]
    /// The value is neither a number nor ISO-8601 text.
    Unreadable,
    #[error("lies outside the years 1 to 9999")]
    /// The time lies outside the years 1 to 9999.
    OutOfRange,
}

const MICROS: f64 = 1e6;
/// 0001-01-01 and 9999-12-31 23:59:59.999999, the bounds of a `YYYY-MM-DD` date.
const EARLIEST: i64 = -62_135_596_800_000_000;
const LATEST: i64 = 253_402_300_799_999_999;

const DAY: i64 = 86_400_000_000;
/// 2000-01-01 00:00 UTC.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// A UTC day within the years 1 to 9999. It is shown as `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let since_epoch = Span::new().try_days(self.0).and_then(|days| date(1970, 1, 1).checked_add(days));
        // The day is in range by construction, so the fallback is never used.
        since_epoch.unwrap_or_default().fmt(f)
    }
}

impl Moment {
    /// The end of the year 9999.
    pub const LAST: Moment = Moment(LATEST);

    /// The moment at `micros` microseconds since 1970-01-01 00:00 UTC.
    ///
    /// # Errors
    /// The moment lies outside the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Result<Self, MomentError> {
        if (EARLIEST..=LATEST).contains(&micros) { Ok(Moment(micros)) } else { Err(MomentError::OutOfRange) }
    }

    /// Microseconds since 1970-01-01 00:00 UTC.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// The moment that a JSON value stands for: epoch seconds or ISO-8601 text.
    ///
    /// # Errors
    /// The value is neither a number nor a time as text, or lies outside the years 1 to 9999.
    pub fn from_json(value: &Json) -> Result<Self, MomentError> {
        match value {
            Json::Str(text) => Self::from_text(text.trim()),
            _ => Self::from_epoch_seconds(value.as_f64().ok_or(MomentError::Unreadable)?),
        }
    }

    fn from_epoch_seconds(seconds: f64) -> Result<Self, MomentError> {
        Self::from_micros((seconds * MICROS).round_ties_even() as i64)
    }

    fn from_text(text: &str) -> Result<Self, MomentError> {
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return Self::from_micros(timestamp.as_microsecond());
        }
        let civil: DateTime = text.parse().map_err(|_| MomentError::Unreadable)?;
        let timestamp = TimeZone::UTC.to_timestamp(civil).map_err(|_| MomentError::OutOfRange)?;
        Self::from_micros(timestamp.as_microsecond())
    }

    /// The UTC day of this moment, which is the `date` of LiteLLM's daily tables. The moment is not rounded first.
    pub fn utc_day(self) -> Day {
        Day(self.0.div_euclid(DAY))
    }

    /// The UTC day of this moment as text, `YYYY-MM-DD`.
    pub fn utc_date(self) -> String {
        self.utc_day().to_string()
    }

    /// The nearest millisecond, as LiteLLM's columns of type timestamp(3) keep it. Postgres rounds a half away from its
    /// epoch, 2000-01-01.
    pub fn rounded_to_millis(self) -> Moment {
        let since = self.0.saturating_sub(POSTGRES_EPOCH);
        let rounded = since.saturating_add(500 * since.signum()) / 1000 * 1000;
        Moment(rounded.saturating_add(POSTGRES_EPOCH).min(LATEST))
    }

    /// The whole millisecond at or before this moment.
    pub fn cut_to_millis(self) -> Moment {
        Moment(self.millis().saturating_mul(1000))
    }

    /// Whole milliseconds since 1970-01-01 00:00 UTC.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// One microsecond earlier, but not before the year 1.
    pub fn just_before(self) -> Moment {
        Moment(self.0.saturating_sub(1).max(EARLIEST))
    }

    /// Milliseconds from `start` to this moment, truncated towards zero with the rounding of Python's
    /// `int(timedelta.total_seconds() * 1000)`. LiteLLM stores that number.
    pub fn millis_since(self, start: Moment) -> i64 {
        let elapsed = SignedDuration::from_micros(self.0.saturating_sub(start.0));
        (elapsed.as_secs_f64() * 1000.0) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Result<i64, MomentError> {
        Moment::from_json(&Json::from_text(text).unwrap()).map(Moment::micros)
    }

    #[test]
    fn numbers_and_text_name_the_same_moment() {
        let expected = Ok(1_773_500_966_535_897);
        for text in [
            "1773500966.535897",
            r#""2026-03-14T15:09:26.535897+00:00""#,
            r#""2026-03-14T15:09:26.535897""#,
            r#""2026-03-14 15:09:26.535897Z""#,
            r#""2026-03-14T17:09:26.535897+0200""#,
        ] {
            assert_eq!(micros(text), expected, "{text}");
        }
    }

    #[test]
    fn milliseconds_taken_for_seconds_are_out_of_range() {
        assert_eq!(micros("1773500966535"), Err(MomentError::OutOfRange));
        assert_eq!(micros("1e300"), Err(MomentError::OutOfRange));
    }

    #[test]
    fn other_values_are_unreadable() {
        for text in ["true", r#""yesterday""#, r#""""#, "{}"] {
            assert_eq!(micros(text), Err(MomentError::Unreadable), "{text}");
        }
    }

    #[test]
    fn the_date_is_that_of_the_unrounded_start() {
        assert_eq!(Moment::from_micros(1_773_532_799_999_600).unwrap().utc_date(), "2026-03-14");
        assert_eq!(Moment::from_micros(-1).unwrap().utc_date(), "1969-12-31");
        assert_eq!(Moment::from_micros(EARLIEST).unwrap().utc_date(), "0001-01-01");
        assert_eq!(Moment::LAST.utc_date(), "9999-12-31");
    }

    #[test]
    fn a_log_row_keeps_milliseconds() {
        let rounded = |micros| Moment::from_micros(micros).unwrap().rounded_to_millis().micros();
        let near = [1_773_500_966_535_499, 1_773_500_966_535_500, 946_684_799_999_500, -1_400, LATEST];
        let kept = [1_773_500_966_535_000, 1_773_500_966_536_000, 946_684_799_999_000, -1_000, LATEST];
        assert_eq!(near.map(rounded), kept);
    }

    #[test]
    fn durations_are_cut_like_pythons() {
        let at = |micros| Moment::from_micros(micros).unwrap();
        assert_eq!(at(250_000).millis_since(at(0)), 250);
        assert_eq!(at(0).millis_since(at(1_500)), -1);
    }
}
