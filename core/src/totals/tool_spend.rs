//! `LiteLLM_DailyToolSpend`, the table of the Tools page. Each tool that a request called is charged the request's
//! whole spend and tokens (LiteLLM's spend_log_tool_index.py), so the totals over all tools exceed the spend.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::columns::Column;
use super::named::Named;
use super::names::{Name, Names};
use super::sum::Sum;
use crate::record::SpendRecord;

/// The columns that a fold fills in `LiteLLM_SpendLogToolIndex`.
pub const INDEX_COLUMNS: [&str; 3] = ["request_id", "tool_name", "start_time"];

/// The primary key: the UTC day, `YYYY-MM-DD`, and the tool.
pub type ToolKey<T> = (T, T);

/// What a fold adds to one row. Each field is named after its column; tokens and requests are counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolSpend {
    /// US dollars.
    pub spend: Sum,
    pub total_tokens: i64,
    pub request_count: i64,
}

/// The rows while they are summed up.
pub type ToolSpendTotals = HashMap<ToolKey<Name>, ToolSpend>;

/// The rows by key, in LiteLLM's order.
pub type ToolSpendRows<'n> = BTreeMap<ToolKey<&'n str>, ToolSpend>;

/// Adds a record to each tool that it called.
pub fn add(totals: &mut ToolSpendTotals, names: &mut Names, named: &Named, record: &SpendRecord) {
    for tool in &record.identity.tools {
        let row = totals.entry((named.date, names.intern(tool))).or_default();
        row.spend.add(record.usage.spend);
        row.total_tokens = row.total_tokens.saturating_add(record.usage.total_tokens);
        row.request_count = row.request_count.saturating_add(1);
    }
}

/// The rows with the texts of their names, in the order of their keys.
pub fn rows<'n>(totals: &ToolSpendTotals, names: &'n Names) -> ToolSpendRows<'n> {
    totals.iter().map(|((date, tool), row)| ((names.text(*date), names.text(*tool)), row.clone())).collect()
}

/// What a fold has for each column of the table.
pub fn columns<'n>(rows: &ToolSpendRows<'n>) -> Vec<Column<'n>> {
    vec![
        Column::text("date", rows.keys().map(|(date, _)| *date)),
        Column::text("tool_name", rows.keys().map(|(_, tool)| *tool)),
        Column::dollars("spend", rows.values().map(|row| row.spend.value())),
        Column::count("total_tokens", rows.values().map(|row| row.total_tokens)),
        Column::count("request_count", rows.values().map(|row| row.request_count)),
    ]
}

#[cfg(test)]
mod tests {
    use crate::json::Json;
    use crate::record::SpendRecord;
    use crate::totals::Totals;

    #[test]
    fn each_distinct_tool_is_charged_the_whole_request() {
        let json = Json::from_text(
            r#"{"request_id":"r","spend":2,"startTime":0,"total_tokens":5,"tool_calls":[" find ","find",""," ",3],
                "mcp_namespaced_tool_name":"docs-search"}"#,
        );
        let json = json.unwrap();
        let mut totals = Totals::default();
        totals.add(&SpendRecord::decode(&json).unwrap());
        let charged: Vec<_> = totals
            .tool_spend()
            .into_iter()
            .map(|((_, tool), row)| (tool, row.spend.value(), row.total_tokens))
            .collect();
        assert_eq!(charged, [("docs-search", 2.0, 5), ("find", 2.0, 5)]);
    }
}
