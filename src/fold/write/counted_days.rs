//! How many requests folds have counted for each day, and the fingerprint of their ids. They tell whether the log of a
//! day still holds what was counted, and nothing else. `rebuild` trusts no other log.

use std::collections::BTreeMap;

use litellm_spend_core::ledger::fingerprint;
use litellm_spend_core::moment::{Day, Moment};
use litellm_spend_core::record::SpendRecord;
use pgrx::spi::SpiClient;

use crate::error::Result;
use crate::postgres::plans;

/// A set of requests of one day.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Requests {
    pub count: i64,
    pub fingerprint: i64,
}

impl Requests {
    pub fn add(&mut self, request_id: &str) {
        self.count += 1;
        self.fingerprint ^= fingerprint(request_id);
    }
}

/// The day on which the log shows a request with this start.
pub fn day_in_log(start: Moment) -> Day {
    start.rounded_to_millis().utc_day()
}

/// The requests that a fold counts, by day.
#[derive(Debug, Default)]
pub struct CountedDays(BTreeMap<Day, Requests>);

impl CountedDays {
    pub fn add(&mut self, record: &SpendRecord) {
        self.0.entry(day_in_log(record.timing.start)).or_default().add(&record.request_id);
    }

    /// Adds these requests to what folds have counted before.
    pub fn write(&self, client: &mut SpiClient) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let dates: Vec<String> = self.0.keys().map(Day::to_string).collect();
        let counts: Vec<i64> = self.0.values().map(|day| day.count).collect();
        let fingerprints: Vec<i64> = self.0.values().map(|day| day.fingerprint).collect();
        plans::run(
            client,
            "INSERT INTO litellm_spend.counted_days AS t (date, requests, fingerprint)
             SELECT r.date::pg_catalog.date, r.requests, r.fingerprint
             FROM unnest($1::pg_catalog.text[], $2::pg_catalog.int8[], $3::pg_catalog.int8[])
                 AS r (date, requests, fingerprint)
             ON CONFLICT (date) DO UPDATE
             SET requests = t.requests + EXCLUDED.requests, fingerprint = t.fingerprint # EXCLUDED.fingerprint",
            &[dates.into(), counts.into(), fingerprints.into()],
        )?;
        Ok(())
    }
}

/// The requests that folds have counted for a day; `None` if they kept no count of that day.
pub fn find(client: &mut SpiClient, date: &str) -> Result<Option<Requests>> {
    let query = "SELECT c.requests, c.fingerprint FROM litellm_spend.counted_days c
                 WHERE c.date = $1::pg_catalog.text::pg_catalog.date";
    let rows = plans::run(client, query, &[date.into()])?;
    if rows.is_empty() {
        return Ok(None);
    }
    let row = rows.first();
    Ok(row.get(1)?.zip(row.get(2)?).map(|(count, fingerprint)| Requests { count, fingerprint }))
}
