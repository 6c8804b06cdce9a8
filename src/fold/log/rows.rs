//! The columns of a SpendLogs row and the arrays that fill them: one statement for a whole batch,
//! naming just the columns that the table has. No conflict target is named, as the table may be
//! partitioned.

use litellm_spend_core::json::Json;
use litellm_spend_core::moment::Moment;
use litellm_spend_core::record::SpendRecord;
use pgrx::datum::{DatumWithOid, Timestamp};

use crate::fold::targets::Table;

/// Kind of a column: the type of its parameter and how it reaches the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Dollars,
    /// A bigint, clamped where the column is an int4.
    Count,
    Time,
    Document,
}

use Kind::{Count, Document, Dollars, Text, Time};

/// Columns in the order of the statement's parameters.
const COLUMNS: [(&str, Kind); 34] = [
    ("request_id", Text),
    ("call_type", Text),
    ("api_key", Text),
    ("spend", Dollars),
    ("total_tokens", Count),
    ("prompt_tokens", Count),
    ("completion_tokens", Count),
    ("startTime", Time),
    ("endTime", Time),
    ("completionStartTime", Time),
    ("request_duration_ms", Count),
    ("model", Text),
    ("model_id", Text),
    ("model_group", Text),
    ("custom_llm_provider", Text),
    ("api_base", Text),
    ("user", Text),
    ("team_id", Text),
    ("organization_id", Text),
    ("end_user", Text),
    ("agent_id", Text),
    ("billing_agent_id", Text),
    ("metadata", Document),
    ("cache_hit", Text),
    ("cache_key", Text),
    ("request_tags", Document),
    ("requester_ip_address", Text),
    ("session_id", Text),
    ("status", Text),
    ("mcp_namespaced_tool_name", Text),
    ("litellm_call_id", Text),
    ("messages", Document),
    ("response", Document),
    ("proxy_server_request", Document),
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

/// The insert into `log`, returning the ids that were new.
pub fn insert_statement(log: &Table) -> String {
    let names: Vec<String> = COLUMNS.iter().map(|(name, _)| pgrx::spi::quote_identifier(name)).collect();
    let parameters: Vec<String> = COLUMNS
        .iter()
        .enumerate()
        .map(|(index, (_, kind))| format!("${}::{}[]", index + 1, kind.parameter_type()))
        .collect();
    let present = COLUMNS.iter().zip(&names).filter(|((name, _), _)| log.has(name));
    let (targets, values): (Vec<&str>, Vec<String>) =
        present.map(|((name, kind), quoted)| (quoted.as_str(), kind.value(log, name, quoted))).unzip();
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM unnest({}) AS r ({}) ON CONFLICT DO NOTHING RETURNING request_id",
        log.name,
        targets.join(", "),
        values.join(", "),
        parameters.join(", "),
        names.join(", ")
    )
}

impl Kind {
    fn parameter_type(self) -> &'static str {
        match self {
            Text | Document => "pg_catalog.text",
            Dollars => "pg_catalog.float8",
            Count => "pg_catalog.int8",
            Time => "pg_catalog.timestamp",
        }
    }

    fn value(self, log: &Table, name: &str, quoted: &str) -> String {
        match self {
            Document => format!("r.{quoted}::pg_catalog.jsonb"),
            Count if log.is_of_type(name, "integer") => {
                format!("least(greatest(r.{quoted}, -2147483648), 2147483647)::pg_catalog.int4")
            }
            _ => format!("r.{quoted}"),
        }
    }
}

/// One array a column, in the order of the statement.
pub fn arguments<'a>(records: &[&'a SpendRecord<'a>]) -> Vec<DatumWithOid<'a>> {
    let text = |of: &dyn Fn(&'a SpendRecord<'a>) -> &'a str| -> DatumWithOid<'a> {
        records.iter().map(|record| of(record)).collect::<Vec<&str>>().into()
    };
    let nullable = |of: &dyn Fn(&'a SpendRecord<'a>) -> Option<&'a str>| -> DatumWithOid<'a> {
        records.iter().map(|record| of(record)).collect::<Vec<Option<&str>>>().into()
    };
    let count = |of: &dyn Fn(&SpendRecord) -> i64| -> DatumWithOid<'a> {
        records.iter().map(|record| of(record)).collect::<Vec<i64>>().into()
    };
    let time = |of: &dyn Fn(&SpendRecord) -> Option<Moment>| -> DatumWithOid<'a> {
        records.iter().map(|record| of(record).map(timestamp)).collect::<Vec<Option<Timestamp>>>().into()
    };
    let document = |of: &dyn Fn(&SpendRecord) -> String| -> DatumWithOid<'a> {
        records.iter().map(|record| of(record)).collect::<Vec<String>>().into()
    };
    vec![
        text(&|r| &r.request_id),
        text(&|r| &r.call_type),
        text(&|r| &r.api_key),
        records.iter().map(|r| r.spend).collect::<Vec<f64>>().into(),
        count(&|r| r.total_tokens),
        count(&|r| r.prompt_tokens),
        count(&|r| r.completion_tokens),
        time(&|r| Some(r.start)),
        time(&|r| Some(r.end)),
        time(&|r| r.completion_start),
        count(&|r| r.request_duration_ms),
        text(&|r| &r.model),
        text(&|r| &r.model_id),
        text(&|r| &r.model_group),
        text(&|r| &r.custom_llm_provider),
        text(&|r| &r.api_base),
        text(&|r| &r.user),
        text(&|r| &r.team_id),
        text(&|r| &r.organization_id),
        text(&|r| &r.end_user),
        nullable(&|r| r.agent_id.as_deref()),
        nullable(&|r| r.billing_agent_id.as_deref()),
        document(&|r| r.metadata.to_text()),
        text(&|r| &r.cache_hit),
        text(&|r| &r.cache_key),
        document(&|r| r.request_tags.to_text()),
        nullable(&|r| r.requester_ip_address.as_deref()),
        nullable(&|r| r.session_id.as_deref()),
        text(&|r| if r.is_failure { "failure" } else { "success" }),
        nullable(&|r| r.mcp_namespaced_tool_name.as_deref()),
        nullable(&|r| r.litellm_call_id.as_deref()),
        document(&|r| stored_document(r.messages.as_ref())),
        document(&|r| stored_document(r.response.as_ref())),
        document(&|r| stored_document(r.proxy_server_request.as_ref())),
    ]
}

/// LiteLLM stores `{}` where it stores no prompt.
fn stored_document(document: Option<&Json>) -> String {
    document.map_or_else(|| "{}".to_owned(), Json::to_text)
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
