//! `LiteLLM_BudgetWindowSpend`: the spend of a key or team in each of its budget windows. LiteLLM resets a window at a
//! moment that it stores, and the window starts its duration before that moment. A window without such a moment slides
//! with the clock and has no row (LiteLLM's budget_reservation.py, duration_parser.py).

use std::borrow::Cow;
use std::collections::BTreeMap;

use hashbrown::HashMap;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::names::{Name, Names};
use super::sum::Sum;
use crate::json::Json;
use crate::litellm::tables::EntityKind;
use crate::moment::Moment;
use crate::record::SpendRecord;

/// The columns of the table that a fold fills.
pub const COLUMNS: [&str; 7] =
    ["entity_type", "entity_id", "window_duration", "window_start", "spend", "created_at", "updated_at"];
/// The column of a key's or team's row that lists its windows.
pub const LIMITS_COLUMN: &str = "budget_limits";
/// The kinds of entity that may have windows, in the order of the table's first key column.
pub const HOLDERS: [EntityKind; 2] = [EntityKind::Key, EntityKind::Team];

/// The longest duration in bytes. Its text is part of the table's key, and anyone who may edit a team's budget writes
/// it.
const LONGEST_DURATION: usize = 64;

/// The name of a holder's kind in the table.
pub fn entity_type(holder: EntityKind) -> &'static str {
    if holder == EntityKind::Key { "key" } else { "team" }
}

/// The spend of a fold, in US dollars, on the keys or the teams that may have windows.
pub type HolderTotals = HashMap<Name, Sum>;

/// The spend of a fold, in US dollars, on the keys or the teams that may have windows, by id in byte order.
pub type HolderSpends<'n> = BTreeMap<&'n str, Sum>;

/// The key or team whose windows a record adds to; `None` if the record names none or costs nothing. A request that
/// costs nothing opens no window.
pub fn holder_id<'r>(holder: EntityKind, record: &'r SpendRecord) -> Option<&'r str> {
    let id = if holder == EntityKind::Key { record.charged_key() } else { &record.identity.team_id };
    (!id.is_empty() && record.usage.spend != 0.0).then_some(id)
}

/// Adds a record to the spend of its key or team.
pub fn add(totals: &mut HolderTotals, names: &mut Names, holder: EntityKind, record: &SpendRecord) {
    if let Some(id) = holder_id(holder, record) {
        totals.entry(names.intern(id)).or_default().add(record.usage.spend);
    }
}

/// The spends by the text of their ids, in byte order.
pub fn spends<'n>(totals: &HolderTotals, names: &'n Names) -> HolderSpends<'n> {
    totals.iter().map(|(id, sum)| (names.text(*id), *sum)).collect()
}

/// One budget window of a key or team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The duration as LiteLLM spells it, for example `30d` or `1mo`. It is part of the table's key.
    pub duration: String,
    /// When the window began.
    pub start: Moment,
}

/// The windows that have a row: those in `budget_limits` that LiteLLM resets, in byte order of their durations. If two
/// have the same duration, the row is that of the later one. The length of a month is measured from `now`.
pub fn windows(limits: &Json, now: Moment) -> Vec<Window> {
    let own;
    let limits = match limits {
        // Prisma may have stored JSON text of the list.
        Json::Str(text) => match Json::from_text(text) {
            Ok(json) => {
                own = json;
                &own
            }
            Err(_) => return Vec::new(),
        },
        limits => limits,
    };
    let Json::Array(limits) = limits else { return Vec::new() };
    let mut windows: Vec<Window> = limits.iter().filter_map(|limit| window(limit, now)).collect();
    windows.sort_by(|a, b| (&a.duration, b.start).cmp(&(&b.duration, a.start)));
    windows.dedup_by(|next, kept| next.duration == kept.duration);
    windows
}

fn window(limit: &Json, now: Moment) -> Option<Window> {
    let duration = limit.given("budget_duration").and_then(Json::as_str)?;
    if duration.len() > LONGEST_DURATION {
        return None;
    }
    let reset_at = limit.given("reset_at").and_then(Json::as_str)?;
    let reset_at = Moment::from_json(&Json::Str(Cow::Borrowed(reset_at))).ok()?;
    let length = seconds(duration, now)?;
    let start = reset_at.micros().checked_sub(length.checked_mul(1_000_000)?)?;
    Some(Window { duration: duration.to_owned(), start: Moment::from_micros(start).ok()? })
}

/// The length in seconds of a duration such as `30s`, `5m`, `24h`, `7d`, `2w` or `1mo`. Text after the unit is ignored,
/// as LiteLLM ignores it.
fn seconds(duration: &str, now: Moment) -> Option<i64> {
    let duration = match duration.trim().to_lowercase().as_str() {
        "hourly" => "1h",
        "daily" => "24h",
        "weekly" => "7d",
        "monthly" => "30d",
        _ => duration,
    };
    let digits = duration.len() - duration.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = duration.split_at(digits);
    let number: i64 = number.parse().ok()?;
    if unit.starts_with("mo") {
        return months_in_seconds(number, now);
    }
    let unit = match unit.chars().next()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// How many seconds `months` calendar months last from `now`.
fn months_in_seconds(months: i64, now: Moment) -> Option<i64> {
    let start = Timestamp::from_microsecond(now.micros()).ok()?.to_zoned(TimeZone::UTC);
    let end = start.checked_add(Span::new().try_months(months).ok()?).ok()?;
    Some(end.timestamp().as_second() - start.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-14 12:00 UTC.
    const NOW: i64 = 1_773_489_600_000_000;

    fn starts(limits: &str) -> Vec<(String, String)> {
        let json = Json::from_text(limits).unwrap();
        let found = windows(&json, Moment::from_micros(NOW).unwrap());
        found.into_iter().map(|window| (window.duration, window.start.utc_date())).collect()
    }

    fn start(duration: &str) -> Option<String> {
        let limit = format!(r#"[{{"budget_duration":"{duration}","reset_at":"2026-04-01T00:00:00Z"}}]"#);
        starts(&limit).pop().map(|(_, start)| start)
    }

    #[test]
    fn a_window_starts_its_duration_before_its_reset() {
        assert_eq!(start("7d").as_deref(), Some("2026-03-25"));
        assert_eq!(start("2w").as_deref(), Some("2026-03-18"));
        assert_eq!(start("24h").as_deref(), Some("2026-03-31"));
        assert_eq!(start("monthly").as_deref(), Some("2026-03-02"));
        assert_eq!(start("86400s").as_deref(), Some("2026-03-31"));
    }

    #[test]
    fn a_month_is_measured_from_now() {
        assert_eq!(start("1mo").as_deref(), Some("2026-03-01"), "31 days from 14 March");
        assert_eq!(start("2mo").as_deref(), Some("2026-01-30"), "61 days from 14 March");
    }

    #[test]
    fn what_litellm_never_resets_has_no_window() {
        assert_eq!(starts(r#"[{"budget_duration":"7d"},{"budget_duration":"1d","reset_at":null}]"#), []);
        assert_eq!(start("soon"), None);
        assert_eq!(start("7y"), None);
        assert_eq!(start("9999999mo"), None);
        assert_eq!(start(&format!("7d{}", "x".repeat(LONGEST_DURATION))), None);
        assert_eq!(start("99999999999999999999d"), None);
        assert_eq!(starts("null"), []);
        assert_eq!(starts(r#""not a list""#), []);
    }

    #[test]
    fn json_text_of_a_list_is_read_and_a_duration_has_one_row() {
        let twice = r#"[{"budget_duration":"1d","reset_at":"2026-04-01T00:00:00"},
                        {"budget_duration":"1d","reset_at":"2026-04-03T00:00:00"}]"#;
        let expected = vec![("1d".to_owned(), "2026-04-02".to_owned())];
        assert_eq!(starts(twice), expected);
        assert_eq!(starts(&Json::Str(Cow::Borrowed(twice)).to_text()), expected);
    }
}
