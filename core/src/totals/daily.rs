//! The daily tables: one row per entity, UTC day, key, model, provider, tool and endpoint. The key is a tuple of
//! exactly those columns that the table's unique index has.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::columns::Column;
use super::named::Named;
use super::names::{Name, Names};
use super::sum::Sum;
use crate::litellm::endpoint;
use crate::litellm::tables::DailyKind;
use crate::record::{CallOrigin, SpendRecord};

/// Which key columns of later versions of LiteLLM the unique index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyShape {
    /// Whether the index has `mcp_namespaced_tool_name`.
    pub has_mcp_tool: bool,
    /// Whether the index has `endpoint`.
    pub has_endpoint: bool,
    /// Whether the index has `model_group`.
    pub has_model_group: bool,
}

/// The unique key of a row. Each field is named after its column, except `entity`. The order of the fields is that of
/// the index, so that rows are locked in its order. A column that the index lacks is `""`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DailyKey<T> {
    /// The id in the table's entity column; `""` for no user or no team.
    pub entity: T,
    /// The UTC day, `YYYY-MM-DD`.
    pub date: T,
    pub api_key: T,
    pub model: T,
    pub custom_llm_provider: T,
    pub mcp_namespaced_tool_name: T,
    pub endpoint: &'static str,
    /// The group of the model; `""` if the index lacks the column. The row then keeps the group of its first writer.
    pub model_group: T,
}

/// What a fold adds to one row.
#[derive(Debug, Clone, PartialEq)]
pub struct DailyRow<T> {
    /// The group of the model. It is not part of most keys; the first writer's group stays, as in LiteLLM.
    pub model_group: T,
    /// For the tag table, the first request of the fold; else `""`.
    pub request_id: T,
    /// The numbers to add.
    pub sums: DailySums,
}

/// The numbers of one row. Each field is named after its column: tokens and requests are counts, `spend` and the
/// `*_savings_spend` are US dollars, `total_response_time_ms` is the duration of the `timed_requests` in milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DailySums {
    pub prompt_tokens: i64,
    pub completion_tokens: i64,
    pub cache_read_input_tokens: i64,
    pub cache_creation_input_tokens: i64,
    pub spend: Sum,
    pub api_requests: i64,
    pub successful_requests: i64,
    pub failed_requests: i64,
    pub total_response_time_ms: i64,
    pub timed_requests: i64,
    pub compression_saved_tokens: i64,
    pub compression_savings_spend: Sum,
    pub prompt_caching_savings_spend: Sum,
    pub gateway_injected_caching_savings_spend: Sum,
    pub autorouter_savings_spend: Sum,
}

/// The rows while they are summed up.
pub type DailyTotals = HashMap<DailyKey<Name>, DailyRow<Name>>;

/// The rows by key, in the order in which they are locked.
pub type DailyRows<'n> = BTreeMap<DailyKey<&'n str>, DailyRow<&'n str>>;

/// Adds a record to its rows in the daily table of `kind`.
pub fn add(
    totals: &mut DailyTotals,
    names: &mut Names,
    kind: DailyKind,
    shape: DailyShape,
    named: &Named,
    record: &SpendRecord,
) {
    let mut add_to = |entity: Name, names: &mut Names| {
        let key = DailyKey {
            entity,
            date: named.date,
            api_key: named.api_key,
            model: named.model,
            custom_llm_provider: named.provider,
            mcp_namespaced_tool_name: if shape.has_mcp_tool { named.mcp_tool } else { Name::EMPTY },
            endpoint: if shape.has_endpoint { endpoint::of_call_type(&record.call.call_type) } else { "" },
            model_group: if shape.has_model_group { named.model_group } else { Name::EMPTY },
        };
        let row = totals.entry(key).or_insert_with(|| DailyRow {
            model_group: named.model_group,
            request_id: if kind == DailyKind::Tag { names.intern(&record.request_id) } else { Name::EMPTY },
            sums: DailySums::default(),
        });
        row.sums.add(record);
    };
    if let Some(entity) = entity(kind, named) {
        add_to(entity, names);
    }
    if kind == DailyKind::Tag {
        for tag in &record.identity.tags {
            let tag = names.intern(tag);
            add_to(tag, names);
        }
    }
}

/// The rows with the texts of their names, in the order of their keys.
pub fn rows<'n>(totals: &DailyTotals, names: &'n Names) -> DailyRows<'n> {
    let text = |name| names.text(name);
    totals
        .iter()
        .map(|(key, row)| {
            let key = DailyKey {
                entity: text(key.entity),
                date: text(key.date),
                api_key: text(key.api_key),
                model: text(key.model),
                custom_llm_provider: text(key.custom_llm_provider),
                mcp_namespaced_tool_name: text(key.mcp_namespaced_tool_name),
                endpoint: key.endpoint,
                model_group: text(key.model_group),
            };
            let model_group = text(row.model_group);
            (key, DailyRow { model_group, request_id: text(row.request_id), sums: row.sums.clone() })
        })
        .collect()
}

/// The entity whose row a record belongs to. A missing user or team is `''`, because the UI's global pages read those
/// rows. For tags the result is `None`, because a record may have several.
fn entity(kind: DailyKind, named: &Named) -> Option<Name> {
    let if_named = |name: Name| (!name.is_empty()).then_some(name);
    match kind {
        DailyKind::User => Some(named.user),
        DailyKind::Team => Some(named.team),
        DailyKind::Organization => if_named(named.organization),
        DailyKind::EndUser => if_named(named.end_user),
        DailyKind::Agent => if_named(named.agent),
        DailyKind::Tag => None,
    }
}

/// What a fold has for each column of one daily table.
pub fn columns<'n>(kind: DailyKind, rows: &DailyRows<'n>) -> Vec<Column<'n>> {
    let key = |name, text: fn(&DailyKey<&'n str>) -> &'n str| Column::text(name, rows.keys().map(text));
    let count = |name, of: fn(&DailySums) -> i64| Column::count(name, rows.values().map(|row| of(&row.sums)));
    let dollars =
        |name, of: fn(&DailySums) -> Sum| Column::dollars(name, rows.values().map(|row| of(&row.sums).value()));
    let mut columns = vec![
        key(kind.entity_column(), |key| key.entity),
        key("date", |key| key.date),
        key("api_key", |key| key.api_key),
        key("model", |key| key.model),
        key("custom_llm_provider", |key| key.custom_llm_provider),
        key("mcp_namespaced_tool_name", |key| key.mcp_namespaced_tool_name),
        key("endpoint", |key| key.endpoint),
        Column::text("model_group", rows.values().map(|row| row.model_group)),
        count("prompt_tokens", |sums| sums.prompt_tokens),
        count("completion_tokens", |sums| sums.completion_tokens),
        count("cache_read_input_tokens", |sums| sums.cache_read_input_tokens),
        count("cache_creation_input_tokens", |sums| sums.cache_creation_input_tokens),
        count("api_requests", |sums| sums.api_requests),
        count("successful_requests", |sums| sums.successful_requests),
        count("failed_requests", |sums| sums.failed_requests),
        count("total_response_time_ms", |sums| sums.total_response_time_ms),
        count("timed_requests", |sums| sums.timed_requests),
        count("compression_saved_tokens", |sums| sums.compression_saved_tokens),
        dollars("spend", |sums| sums.spend),
        dollars("compression_savings_spend", |sums| sums.compression_savings_spend),
        dollars("prompt_caching_savings_spend", |sums| sums.prompt_caching_savings_spend),
        dollars("gateway_injected_caching_savings_spend", |sums| sums.gateway_injected_caching_savings_spend),
        dollars("autorouter_savings_spend", |sums| sums.autorouter_savings_spend),
    ];
    if kind == DailyKind::Tag {
        columns.push(Column::latest_text("request_id", rows.values().map(|row| row.request_id)));
    }
    columns
}

impl DailySums {
    fn add(&mut self, record: &SpendRecord) {
        let is_callers = record.outcome.call_origin == CallOrigin::Caller;
        let requests = i64::from(record.counts_as_request());
        let timed = !record.outcome.is_failure && is_callers && record.timing.request_duration_ms >= 0;
        let tally = |column: &mut i64, by: i64| *column = column.saturating_add(by);
        tally(&mut self.prompt_tokens, record.usage.prompt_tokens);
        tally(&mut self.completion_tokens, record.usage.completion_tokens);
        tally(&mut self.cache_read_input_tokens, record.usage.cache_read_input_tokens);
        tally(&mut self.cache_creation_input_tokens, record.usage.cache_creation_input_tokens);
        tally(&mut self.api_requests, requests);
        tally(
            if record.outcome.is_failure { &mut self.failed_requests } else { &mut self.successful_requests },
            requests,
        );
        if timed {
            tally(&mut self.total_response_time_ms, record.timing.request_duration_ms);
            tally(&mut self.timed_requests, 1);
        }
        self.spend.add(record.usage.spend);
        let savings = &record.usage.savings;
        tally(&mut self.compression_saved_tokens, savings.compression_tokens);
        self.compression_savings_spend.add(savings.compression);
        self.prompt_caching_savings_spend.add(savings.prompt_caching);
        self.gateway_injected_caching_savings_spend.add(savings.gateway_injected_caching);
        if is_callers {
            self.autorouter_savings_spend.add(savings.autorouter);
        }
    }
}
