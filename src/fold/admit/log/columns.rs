//! The columns of a SpendLogs row and what fills them: one statement for a whole batch, naming just the
//! columns that the table has. No conflict target is named, as the table may be partitioned.

use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb;
use litellm_spend_core::moment::Moment;
use litellm_spend_core::record::SpendRecord;
use pgrx::datum::Timestamp;
use pgrx::spi::quote_identifier;

use crate::postgres::batch_table::{Rows, Type, Value};
use crate::targets::Table;

/// A column and how a record fills it.
#[derive(Clone, Copy)]
enum Of {
    Text(for<'r> fn(&'r SpendRecord<'r>) -> &'r str),
    OptionalText(for<'r> fn(&'r SpendRecord<'r>) -> Option<&'r str>),
    Dollars(fn(&SpendRecord) -> f64),
    /// A bigint, clamped where the column is an int4.
    Count(fn(&SpendRecord) -> i64),
    Time(fn(&SpendRecord) -> Option<Moment>),
    /// `{}` where there is none, as LiteLLM stores where it stores no prompt.
    Document(for<'r> fn(&'r SpendRecord<'r>) -> Option<&'r Json<'r>>),
}

use Of::{Count, Document, Dollars, OptionalText, Text, Time};

/// The container of `{}`: the header of an object without members.
const EMPTY_OBJECT: [u8; 4] = 0x2000_0000u32.to_ne_bytes();

const COLUMNS: [(&str, Of); 34] = [
    ("request_id", Text(|r| &r.request_id)),
    ("call_type", Text(|r| &r.call_type)),
    ("api_key", Text(|r| &r.api_key)),
    ("spend", Dollars(|r| r.spend)),
    ("total_tokens", Count(|r| r.total_tokens)),
    ("prompt_tokens", Count(|r| r.prompt_tokens)),
    ("completion_tokens", Count(|r| r.completion_tokens)),
    ("startTime", Time(|r| Some(r.start))),
    ("endTime", Time(|r| Some(r.end))),
    ("completionStartTime", Time(|r| r.completion_start)),
    ("request_duration_ms", Count(|r| r.request_duration_ms)),
    ("model", Text(|r| &r.model)),
    ("model_id", Text(|r| &r.model_id)),
    ("model_group", Text(|r| &r.model_group)),
    ("custom_llm_provider", Text(|r| &r.custom_llm_provider)),
    ("api_base", Text(|r| &r.api_base)),
    ("user", Text(|r| &r.user)),
    ("team_id", Text(|r| &r.team_id)),
    ("organization_id", Text(|r| &r.organization_id)),
    ("end_user", Text(|r| &r.end_user)),
    ("agent_id", OptionalText(|r| r.agent_id.as_deref())),
    ("billing_agent_id", OptionalText(|r| r.billing_agent_id.as_deref())),
    ("metadata", Document(|r| Some(&r.metadata))),
    ("cache_hit", Text(|r| &r.cache_hit)),
    ("cache_key", Text(|r| &r.cache_key)),
    ("request_tags", Document(|r| Some(&r.request_tags))),
    ("requester_ip_address", OptionalText(|r| r.requester_ip_address.as_deref())),
    ("session_id", OptionalText(|r| r.session_id.as_deref())),
    ("status", Text(|r| if r.is_failure { "failure" } else { "success" })),
    ("mcp_namespaced_tool_name", OptionalText(|r| r.mcp_namespaced_tool_name.as_deref())),
    ("litellm_call_id", OptionalText(|r| r.litellm_call_id.as_deref())),
    ("messages", Document(|r| r.messages.as_ref())),
    ("response", Document(|r| r.response.as_ref())),
    ("proxy_server_request", Document(|r| r.proxy_server_request.as_ref())),
];

/// The names of the columns.
pub const COLUMN_NAMES: [&str; COLUMNS.len()] = {
    let mut names = [""; COLUMNS.len()];
    let mut at = 0;
    while at < COLUMNS.len() {
        names[at] = COLUMNS[at].0;
        at += 1;
    }
    names
};

/// The columns of a log that the fold fills.
pub struct Columns<'t> {
    log: &'t Table,
    present: Vec<(&'static str, Of, Type)>,
}

impl<'t> Columns<'t> {
    pub fn of(log: &'t Table) -> Self {
        let present = COLUMNS.into_iter().filter(|(name, _)| log.has(name));
        Columns { log, present: present.map(|(name, of)| (name, of, of.column_type(log, name))).collect() }
    }

    /// The insert of log rows, returning the ids that were new.
    pub fn insert_statement(&self) -> String {
        let names: Vec<String> = self.present.iter().map(|(name, ..)| quote_identifier(*name)).collect();
        let names = names.join(", ");
        format!(
            "INSERT INTO {} ({names}) SELECT {names} FROM batch ON CONFLICT DO NOTHING RETURNING request_id",
            self.log.name
        )
    }

    /// The rows that it reads have these columns.
    pub fn types(&self) -> Vec<(&'static str, Type)> {
        self.present.iter().map(|(name, _, of)| (*name, *of)).collect()
    }

    pub fn fill(&self, rows: &mut Rows, records: &[&SpendRecord]) {
        let mut documents = Documents::default();
        for record in records {
            documents.clear();
            for (_, of, _) in &self.present {
                if let Document(of) = of {
                    documents.push(of(record));
                }
            }
            let mut containers = documents.containers();
            let values: Vec<Value> = self
                .present
                .iter()
                .map(|(_, of, column_type)| match of {
                    Text(of) => Value::Text(of(record)),
                    OptionalText(of) => of(record).into(),
                    Dollars(of) => Value::Dollars(of(record)),
                    Count(of) if *column_type == Type::Code => Value::Code(clamped(of(record))),
                    Count(of) => Value::Count(of(record)),
                    Time(of) => of(record).map_or(Value::Null, |moment| Value::Time(timestamp(moment))),
                    Document(_) => containers.next().map_or(Value::Null, Value::Document),
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
            // Not one that is too large or too deep: it is a part of a jsonb.
            self.bytes.extend(EMPTY_OBJECT);
        }
        self.ends.push(self.bytes.len());
    }

    fn containers(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

impl Of {
    fn column_type(self, log: &Table, name: &str) -> Type {
        match self {
            Text(_) | OptionalText(_) => Type::Text,
            Document(_) => Type::Document,
            Dollars(_) => Type::Dollars,
            Count(_) if log.is_of_type(name, "integer") => Type::Code,
            Count(_) => Type::Count,
            Time(_) => Type::Time,
        }
    }
}

/// The nearest int4.
fn clamped(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(if count < 0 { i32::MIN } else { i32::MAX })
}

/// Gaps of this many microseconds and more part what is looked up together: two days, since a record is looked
/// for within a day of its start.
const GAP: i64 = 2 * 86_400_000_000;

/// These requests in groups that started near each other, so that one old request among new ones opens no
/// partition between them.
pub fn near_in_time<'r, 'a>(records: &[&'r SpendRecord<'a>]) -> Vec<Vec<&'r SpendRecord<'a>>> {
    let mut sorted = records.to_vec();
    sorted.sort_by_key(|record| record.start);
    let is_near = |a: &&SpendRecord, b: &&SpendRecord| b.start.micros().saturating_sub(a.start.micros()) < GAP;
    sorted.chunk_by(is_near).map(<[_]>::to_vec).collect()
}

/// When the first and the last of these requests started; `None` if there are none.
pub fn starts(records: &[&SpendRecord]) -> Option<(Timestamp, Timestamp)> {
    let starts = || records.iter().map(|record| record.start);
    Some((timestamp(starts().min()?), timestamp(starts().max()?)))
}

/// Postgres counts microseconds from 2000-01-01.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

pub fn timestamp(moment: Moment) -> Timestamp {
    // A moment lies within years 1 to 9999, which Postgres's range includes.
    Timestamp::saturating_from_raw(moment.micros() - POSTGRES_EPOCH)
}

/// The moment of a raw timestamp; one out of range is the last moment there is.
pub fn moment(raw: i64) -> Moment {
    Moment::from_micros(raw.saturating_add(POSTGRES_EPOCH)).unwrap_or(Moment::LAST)
}
