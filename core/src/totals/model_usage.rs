//! `LiteLLM_DailyModelUsage`, the table of the Model Insights page: requests, tokens and spend by day, model and task.
//! A `task:` tag names the task (LiteLLM's model_usage_rollup.py).

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::columns::Column;
use super::named::Named;
use super::names::{Name, Names};
use super::sum::Sum;
use crate::json::Json;
use crate::record::{CallOrigin, SpendRecord};

const UNKNOWN: &str = "unknown";
const TASK_TAG: &str = "task:";
const NO_TASK: &str = "uncategorized";
/// The tasks that LiteLLM knows (model_insights_tasks.json). Any other text is not a task.
const TASKS: [&str; 20] = [
    "classification",
    "content_writing",
    "roleplay_fiction",
    "conversation",
    "research_reports",
    "qa_knowledge",
    "customer_support",
    "summarization",
    "translation",
    "workflow_execution",
    "multi_step_planning",
    "tool_dispatch",
    "code_generation",
    "debugging",
    "code_review",
    "frontend_ui",
    "file_io",
    "shell_execution",
    "data_extraction",
    "data_transformation",
];

/// The primary key. Each field is named after its column. The order of the fields is LiteLLM's, and rows are locked in
/// that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelUsageKey<T> {
    /// The UTC day, `YYYY-MM-DD`.
    pub date: T,
    pub model_group: T,
    pub model: T,
    pub custom_llm_provider: T,
    pub task_type: &'static str,
}

/// What a fold adds to one row. Each field is named after its column; tokens and requests are counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelUsage {
    /// US dollars.
    pub spend: Sum,
    pub prompt_tokens: i64,
    pub completion_tokens: i64,
    pub request_count: i64,
    pub successful_requests: i64,
    pub failed_requests: i64,
}

/// The rows while they are summed up.
pub type ModelUsageTotals = HashMap<ModelUsageKey<Name>, ModelUsage>;

/// The rows by key.
pub type ModelUsageRows<'n> = BTreeMap<ModelUsageKey<&'n str>, ModelUsage>;

/// Adds a record, unless LiteLLM made the call itself. A poll for the cost of a background response counts its spend
/// and tokens, but no request.
pub fn add(totals: &mut ModelUsageTotals, names: &mut Names, named: &Named, record: &SpendRecord) {
    if record.outcome.call_origin == CallOrigin::Internal {
        return;
    }
    let model = if named.model.is_empty() { names.intern(UNKNOWN) } else { named.model };
    let provider = if named.provider.is_empty() { names.intern(UNKNOWN) } else { named.provider };
    let key = ModelUsageKey {
        date: named.date,
        model_group: if named.model_group.is_empty() { model } else { named.model_group },
        model,
        custom_llm_provider: provider,
        task_type: task_type(&record.identity.request_tags),
    };
    let row = totals.entry(key).or_default();
    let requests = i64::from(record.outcome.call_origin == CallOrigin::Caller);
    let tally = |column: &mut i64, by: i64| *column = column.saturating_add(by);
    row.spend.add(record.usage.spend);
    tally(&mut row.prompt_tokens, record.usage.prompt_tokens);
    tally(&mut row.completion_tokens, record.usage.completion_tokens);
    tally(&mut row.request_count, requests);
    tally(if record.outcome.is_failure { &mut row.failed_requests } else { &mut row.successful_requests }, requests);
}

/// The rows with the texts of their names, in the order of their keys.
pub fn rows<'n>(totals: &ModelUsageTotals, names: &'n Names) -> ModelUsageRows<'n> {
    let text = |name| names.text(name);
    totals
        .iter()
        .map(|(key, row)| {
            let key = ModelUsageKey {
                date: text(key.date),
                model_group: text(key.model_group),
                model: text(key.model),
                custom_llm_provider: text(key.custom_llm_provider),
                task_type: key.task_type,
            };
            (key, row.clone())
        })
        .collect()
}

/// What a fold has for each column of the table.
pub fn columns<'n>(rows: &ModelUsageRows<'n>) -> Vec<Column<'n>> {
    let key = |name, text: fn(&ModelUsageKey<&'n str>) -> &'n str| Column::text(name, rows.keys().map(text));
    let count = |name, of: fn(&ModelUsage) -> i64| Column::count(name, rows.values().map(of));
    vec![
        key("date", |key| key.date),
        key("model_group", |key| key.model_group),
        key("model", |key| key.model),
        key("custom_llm_provider", |key| key.custom_llm_provider),
        key("task_type", |key| key.task_type),
        Column::dollars("spend", rows.values().map(|row| row.spend.value())),
        count("prompt_tokens", |row| row.prompt_tokens),
        count("completion_tokens", |row| row.completion_tokens),
        count("request_count", |row| row.request_count),
        count("successful_requests", |row| row.successful_requests),
        count("failed_requests", |row| row.failed_requests),
    ]
}

/// The task that the first `task:` tag with a known task names.
fn task_type(tags: &Json) -> &'static str {
    let Json::Array(tags) = tags else { return NO_TASK };
    tags.iter()
        .filter_map(|tag| tag.as_str()?.strip_prefix(TASK_TAG))
        .find_map(|task| TASKS.iter().find(|known| **known == task).copied())
        .unwrap_or(NO_TASK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::totals::Totals;

    fn usage(rest: &str) -> Vec<(String, i64, i64)> {
        let text = format!(r#"{{"request_id":"r","spend":2,"startTime":0,"prompt_tokens":3{rest}}}"#);
        let json = Json::from_text(&text).unwrap();
        let mut totals = Totals::default();
        totals.add(&SpendRecord::decode(&json).unwrap());
        let name = |k: &ModelUsageKey<&str>| [k.model_group, k.model, k.custom_llm_provider, k.task_type].join(" ");
        totals.model_usage().iter().map(|(key, row)| (name(key), row.request_count, row.prompt_tokens)).collect()
    }

    #[test]
    fn what_is_missing_is_unknown_and_a_model_is_its_own_group() {
        assert_eq!(usage(""), [("unknown unknown unknown uncategorized".to_owned(), 1, 3)]);
        assert_eq!(usage(r#","model":"m""#)[0].0, "m m unknown uncategorized");
    }

    #[test]
    fn the_first_known_task_counts() {
        let tags = r#","request_tags":["task:cooking",7,"task:debugging","task:code_review"]"#;
        assert!(usage(tags)[0].0.ends_with(" debugging"));
    }

    #[test]
    fn an_internal_call_is_no_usage_and_a_cost_poll_is_usage_without_a_request() {
        assert_eq!(usage(r#","internal_call_origin":"judge""#), []);
        assert_eq!(usage(r#","internal_call_origin":"background_response_cost_poll""#)[0].1, 0);
    }
}
