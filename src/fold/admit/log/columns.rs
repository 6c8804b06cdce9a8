//! The columns of a SpendLogs row and their values. One statement inserts a whole batch and names only the columns that
//! the table has. It names no conflict target, because the table may be partitioned.

use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb;
use litellm_spend_core::record::SpendRecord;
use litellm_spend_core::record::log_row::{COLUMNS, Value as Field};
use pgrx::datum::Timestamp;
use pgrx::spi::quote_identifier;

use crate::postgres::batch_table::{Rows, Type, Value};
use crate::postgres::timestamp::timestamp;
use crate::targets::Table;

/// The container of `{}`: the header of an object without members.
const EMPTY_OBJECT: [u8; 4] = 0x2000_0000u32.to_ne_bytes();

/// The columns of a log that the fold fills.
pub struct Columns<'t> {
    log: &'t Table,
    present: Vec<(&'static str, Field, Type)>,
}

impl<'t> Columns<'t> {
    pub fn of(log: &'t Table) -> Self {
        let present = COLUMNS.into_iter().filter(|column| log.has(column.name));
        let typed = present.map(|column| (column.name, column.value, column_type(log, column.name, column.value)));
        Columns { log, present: typed.collect() }
    }

    /// The statement that inserts log rows and returns the ids that were new.
    pub fn insert_statement(&self) -> String {
        let names: Vec<String> = self.present.iter().map(|(name, ..)| quote_identifier(*name)).collect();
        let names = names.join(", ");
        format!(
            "INSERT INTO {} ({names}) SELECT {names} FROM batch ON CONFLICT DO NOTHING RETURNING request_id",
            self.log.name
        )
    }

    /// The columns of the rows that `insert_statement` reads.
    pub fn types(&self) -> Vec<(&'static str, Type)> {
        self.present.iter().map(|(name, _, of)| (*name, *of)).collect()
    }

    pub fn fill(&self, rows: &mut Rows, records: &[&SpendRecord]) {
        let mut documents = Documents::default();
        for record in records {
            documents.clear();
            for (_, field, _) in &self.present {
                if let Field::Document(of) = field {
                    documents.push(of(record));
                }
            }
            let mut containers = documents.containers();
            let values: Vec<Value> = self
                .present
                .iter()
                .map(|(_, field, column_type)| match field {
                    Field::Text(of) => Value::Text(of(record)),
                    Field::OptionalText(of) => of(record).into(),
                    Field::Dollars(of) => Value::Dollars(of(record)),
                    Field::Count(of) if *column_type == Type::Code => Value::Code(clamped(of(record))),
                    Field::Count(of) => Value::Count(of(record)),
                    Field::Time(of) => of(record).map_or(Value::Null, |moment| Value::Time(timestamp(moment))),
                    Field::Document(_) => containers.next().map_or(Value::Null, Value::Document),
                })
                .collect();
            rows.push(&values);
        }
    }
}

/// The documents of one record in jsonb's binary form, one after the other.
#[derive(Default)]
struct Documents {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Documents {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn push(&mut self, document: Option<&Json>) {
        let written = document.and_then(|document| jsonb::append(document, &mut self.bytes));
        if written.is_none() {
            // The record has no such document. No document is too large or too deep, because each is a part of a jsonb.
            self.bytes.extend(EMPTY_OBJECT);
        }
        self.ends.push(self.bytes.len());
    }

    fn containers(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

fn column_type(log: &Table, name: &str, field: Field) -> Type {
    match field {
        Field::Text(_) | Field::OptionalText(_) => Type::Text,
        Field::Document(_) => Type::Document,
        Field::Dollars(_) => Type::Dollars,
        Field::Count(_) if log.is_of_type(name, "integer") => Type::Code,
        Field::Count(_) => Type::Count,
        Field::Time(_) => Type::Time,
    }
}

/// The nearest int4.
fn clamped(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(if count < 0 { i32::MIN } else { i32::MAX })
}

/// Requests whose starts are this many microseconds or more apart are looked up separately. The gap is two days,
/// because a record is looked for within a day of its start.
const GAP: i64 = 2 * 86_400_000_000;

/// Groups requests that started near each other, so that one old request among new ones opens no partition between
/// them.
pub fn near_in_time<'r, 'a>(records: &[&'r SpendRecord<'a>]) -> Vec<Vec<&'r SpendRecord<'a>>> {
    let mut sorted = records.to_vec();
    sorted.sort_by_key(|record| record.timing.start);
    let is_near =
        |a: &&SpendRecord, b: &&SpendRecord| b.timing.start.micros().saturating_sub(a.timing.start.micros()) < GAP;
    sorted.chunk_by(is_near).map(<[_]>::to_vec).collect()
}

/// The starts of the first and the last of these requests; `None` if there are none.
pub fn starts(records: &[&SpendRecord]) -> Option<(Timestamp, Timestamp)> {
    let starts = || records.iter().map(|record| record.timing.start);
    Some((timestamp(starts().min()?), timestamp(starts().max()?)))
}
