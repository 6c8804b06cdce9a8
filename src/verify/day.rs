//! One UTC day of the log and of the daily tables. One statement reads it, so everything has one snapshot. A fold that
//! commits meanwhile is in both sides or in neither, and so is a charge by LiteLLM's projector.

use std::borrow::Cow;
use std::collections::HashSet;

use litellm_spend_core::allowed::bounds;
use litellm_spend_core::json::raw::Raw;
use litellm_spend_core::jsonb::Element;
use litellm_spend_core::moment::Moment;
use litellm_spend_core::record::SpendRecord;
use litellm_spend_core::record::log_row::COLUMNS;
use litellm_spend_core::totals::Totals;
use pgrx::spi::{SpiClient, SpiHeapTupleData, quote_identifier, quote_literal};

use super::derivable::Derivable;
use super::sums::{self, Key, Numbers, Sums};
use crate::error::Result;
use crate::fold::admit::deliveries;
use crate::fold::write::counted_days::Requests;
use crate::postgres::jsonb::Jsonb;
use crate::postgres::owner;
use crate::postgres::timestamp::timestamp;
use crate::settings;
use crate::targets::{Table, Targets};

/// Rows that are fetched at a time. Only sums by key are kept.
const CHUNK: i64 = 1000;

/// The columns of the log that may be too narrow for the counted number.
const NARROW: [&str; 3] = ["prompt_tokens", "completion_tokens", "request_duration_ms"];

/// Marks the row that counts the log rows that were left out. Other rows have the number of their table here.
const NOT_CHARGED: i32 = -1;

/// The data of one day.
pub struct Day {
    /// The sums of the log.
    pub totals: Totals,
    /// The day's negative costs, as positive sums. They show how large the sums were before the refunds.
    pub refunds: Totals,
    /// Requests for which the log does not show exactly what was counted, or on which day.
    pub doubtful: Totals,
    /// The number of doubtful requests, and the number of log rows that cannot be read as a request.
    pub doubtful_rows: u64,
    pub unreadable_rows: u64,
    /// The number of log rows that LiteLLM has not charged yet. They are left out of all other numbers.
    pub not_charged: i64,
    /// The requests that the log shows on this day.
    pub requests: Requests,
    /// The stored rows of each table.
    pub stored: Vec<Sums>,
}

/// Reads a day with the privileges of the log's owner.
pub fn read(
    client: &mut SpiClient,
    targets: &Targets,
    log: &Table,
    tables: &[Derivable],
    midnight: Moment,
) -> Result<Day> {
    let mut statement = log_query(log, &deliveries::not_charged(targets, log)?);
    for (at, table) in tables.iter().enumerate() {
        statement.push_str(&stored_query(at, table));
    }
    let narrow = NARROW.map(|column| log.is_of_type(column, "integer"));
    let mut day = Day::new(targets, tables.len());
    let arguments = [midnight.utc_date().into(), timestamp(midnight).into()];
    owner::act_as(client, log.owner, |client| {
        let mut cursor = client.try_open_cursor_mut(statement.as_str(), &arguments)?;
        loop {
            let chunk = cursor.fetch(CHUNK)?;
            if chunk.is_empty() {
                return Ok(day);
            }
            for row in chunk {
                match row.get::<i32>(1)? {
                    None => day.add_logged(row.get(2)?, midnight, narrow),
                    Some(NOT_CHARGED) => day.not_charged = row.get(6)?.unwrap_or(0),
                    Some(at) => day.add_stored(at, &row)?,
                }
            }
            pgrx::check_for_interrupts!();
        }
    })
}

impl Day {
    fn new(targets: &Targets, tables: usize) -> Self {
        let totals = || Totals::new(|kind| targets.daily_shape(kind));
        Day {
            totals: totals(),
            refunds: totals(),
            doubtful: totals(),
            doubtful_rows: 0,
            unreadable_rows: 0,
            not_charged: 0,
            requests: Requests::default(),
            stored: vec![Sums::new(); tables],
        }
    }

    fn add_stored(&mut self, at: i32, row: &SpiHeapTupleData) -> Result<()> {
        let key: Key = row.get(3)?.unwrap_or_default();
        let numbers = Numbers { counts: row.get(4)?.unwrap_or_default(), dollars: row.get(5)?.unwrap_or_default() };
        if let Some(stored) = usize::try_from(at).ok().and_then(|at| self.stored.get_mut(at)) {
            stored.insert(key, numbers);
        }
        Ok(())
    }

    fn add_logged(&mut self, document: Option<Jsonb>, midnight: Moment, narrow: [bool; 3]) {
        let document = document.and_then(|document| {
            let raw = Raw::Jsonb(Element::Document(document.bytes()));
            bounds::read(raw, settings::record_bounds(), false).ok().map(|read| read.json.into_owned())
        });
        let Some(mut record) = document.and_then(|document| SpendRecord::decode(&document).ok()) else {
            self.unreadable_rows += 1;
            return;
        };
        let is_of_day = record.timing.start.utc_date() == midnight.utc_date();
        if is_of_day {
            self.requests.add(&record.request_id);
        } else {
            // The start is midnight at the end of the day. The request may have started just before.
            record.timing.start = record.timing.start.just_before();
        }
        // A start within half a millisecond before midnight is logged as midnight.
        let is_midnight = !is_of_day || record.timing.start == midnight;
        if is_midnight || is_cut(&record, narrow) {
            self.doubtful_rows += 1;
            self.doubtful.add(&record);
        }
        if is_of_day {
            if record.usage.spend < 0.0 {
                let mut refund = record.clone();
                refund.usage.spend = -record.usage.spend;
                self.refunds.add(&refund);
            }
            self.totals.add(&record);
        }
    }

    /// The keys of the rows of a table that are not compared.
    pub fn doubtful_keys(&self, table: &Derivable) -> HashSet<Key> {
        sums::keys(table, &self.doubtful.columns(table.role)).into_iter().collect()
    }
}

/// Whether a number is as large as its column can hold. The counted number may have been larger.
fn is_cut(record: &SpendRecord, narrow: [bool; 3]) -> bool {
    let numbers = [record.usage.prompt_tokens, record.usage.completion_tokens, record.timing.request_duration_ms];
    let is_limit = |number: i64| number == i64::from(i32::MAX) || number == i64::from(i32::MIN);
    numbers.into_iter().zip(narrow).any(|(number, narrow)| narrow && is_limit(number))
}

/// The query for the log's rows as spend records. Both midnights of the day belong to it. It also counts the rows that
/// are left out, for which `not_charged` is true.
fn log_query(log: &Table, not_charged: &str) -> String {
    let members: Vec<String> = COLUMNS
        .iter()
        .filter(|column| column.counts && log.has(column.name))
        .map(|column| format!("{}, l.{}", quote_literal(column.name), quote_identifier(column.name)))
        .collect();
    format!(
        "SELECT NULL::pg_catalog.int4, pg_catalog.jsonb_build_object({}), NULL::pg_catalog.text[],
                NULL::pg_catalog.int8[], NULL::pg_catalog.float8[], NULL::pg_catalog.int8
         FROM {log} AS l WHERE l.\"startTime\" BETWEEN $2 AND $2 + interval '1 day' AND NOT {not_charged}
         UNION ALL SELECT {NOT_CHARGED}, NULL, NULL, NULL, NULL, pg_catalog.count(*)
         FROM {log} AS l WHERE l.\"startTime\" >= $2 AND l.\"startTime\" < $2 + interval '1 day' AND {not_charged}",
        members.join(", "),
        log = log.name
    )
}

/// The query for the rows of one table. Rows that differ only in NULL and `''` are one row, as in a fold.
fn stored_query(at: usize, table: &Derivable) -> String {
    let list = |texts: Vec<String>| Cow::<str>::Owned(texts.join(", "));
    let key = |name: &&str| format!("coalesce(t.{}::pg_catalog.text, '')", quote_identifier(*name));
    let sum = |name: &&str, of: &str| format!("coalesce(pg_catalog.sum(t.{})::{of}, 0)", quote_identifier(*name));
    let keys = list(table.keys.iter().map(key).collect());
    format!(
        "\nUNION ALL SELECT {at}, NULL, ARRAY[{keys}]::pg_catalog.text[], ARRAY[{}]::pg_catalog.int8[],
                ARRAY[{}]::pg_catalog.float8[], NULL
         FROM {} AS t WHERE t.date = $1 AND {} GROUP BY {keys}",
        list(table.counts.iter().map(|name| sum(name, "pg_catalog.int8")).collect()),
        list(table.dollars.iter().map(|name| sum(name, "pg_catalog.float8")).collect()),
        table.target.table.name,
        table.condition()
    )
}
