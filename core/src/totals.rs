//! The sums of the records of a fold in every target. They are computed in memory and written once (invariants 2 and
//! 14). The result does not depend on the order of the records, except for `model_group` and the `request_id` of a
//! tag's row, where the first record wins.

use crate::litellm::tables::{DailyKind, EntityKind, Role, Rollup};
use crate::record::SpendRecord;
use budget_windows::{HolderSpends, HolderTotals};
use columns::Column;
use daily::{DailyKey, DailyRow, DailyRows, DailyShape, DailyTotals};
use entities::{EntitySpend, EntityTotals};
use gateway_requests::{GatewayFailedRequestRows, GatewayRequestRows, GatewayRequestTotals};
use model_usage::{ModelUsageRows, ModelUsageTotals};
use named::{Dates, Named};
use names::{Name, Names};
use request_errors::{RequestErrorRows, RequestErrorTotals};
use tool_spend::{ToolSpendRows, ToolSpendTotals};

pub mod budget_windows;
pub mod columns;
pub mod daily;
pub mod entities;
pub mod gateway_requests;
pub mod model_usage;
pub mod named;
pub mod names;
pub mod request_errors;
pub mod sum;
pub mod tool_spend;

/// The sums of a fold.
#[derive(Debug, Default)]
pub struct Totals {
    names: Names,
    dates: Dates,
    /// The key of each daily table; `None` for a table that is not written.
    shapes: [Option<DailyShape>; DailyKind::ALL.len()],
    daily: [DailyTotals; DailyKind::ALL.len()],
    entities: EntityTotals,
    model_usage: ModelUsageTotals,
    tool_spend: ToolSpendTotals,
    request_errors: RequestErrorTotals,
    gateway_requests: GatewayRequestTotals,
    /// The spend of each key and team that may have budget windows, in the order of `budget_windows::HOLDERS`.
    holders: [HolderTotals; budget_windows::HOLDERS.len()],
}

impl Totals {
    /// Empty sums. `shape_of` returns the key of each daily table, `None` for a table that is not written.
    pub fn new(shape_of: impl Fn(DailyKind) -> Option<DailyShape>) -> Self {
        Totals { shapes: DailyKind::ALL.map(shape_of), ..Totals::default() }
    }

    /// Adds one record to every sum.
    pub fn add(&mut self, record: &SpendRecord) {
        let names = &mut self.names;
        let named = Named::new(names, &mut self.dates, record);
        self.entities.add(names, &named, record);
        for (kind, shape) in DailyKind::ALL.into_iter().zip(self.shapes) {
            if let Some(shape) = shape {
                daily::add(&mut self.daily[kind as usize], names, kind, shape, &named, record);
            }
        }
        model_usage::add(&mut self.model_usage, names, &named, record);
        tool_spend::add(&mut self.tool_spend, names, &named, record);
        request_errors::add(&mut self.request_errors, &named, record);
        gateway_requests::add(&mut self.gateway_requests, &named, record);
        for (totals, holder) in self.holders.iter_mut().zip(budget_windows::HOLDERS) {
            budget_windows::add(totals, names, holder, record);
        }
    }

    /// The rows of one daily table.
    pub fn daily(&self, kind: DailyKind) -> DailyRows<'_> {
        daily::rows(&self.daily[kind as usize], &self.names)
    }

    /// The spend of each entity of one kind, in US dollars.
    pub fn entities(&self, kind: EntityKind) -> EntitySpend<'_> {
        self.entities.of(kind, &self.names)
    }

    /// The rows of model usage.
    pub fn model_usage(&self) -> ModelUsageRows<'_> {
        model_usage::rows(&self.model_usage, &self.names)
    }

    /// The rows of tool spend.
    pub fn tool_spend(&self) -> ToolSpendRows<'_> {
        tool_spend::rows(&self.tool_spend, &self.names)
    }

    /// The rows of request errors.
    pub fn request_errors(&self) -> RequestErrorRows<'_> {
        request_errors::rows(&self.request_errors, &self.names)
    }

    /// The rows of requests that were made outside a proxy.
    pub fn gateway_requests(&self) -> GatewayRequestRows<'_> {
        gateway_requests::rows(&self.gateway_requests, &self.names)
    }

    /// The rows of failed requests that were made outside a proxy.
    pub fn gateway_failed_requests(&self) -> GatewayFailedRequestRows<'_> {
        gateway_requests::failed_rows(&self.gateway_requests, &self.names)
    }

    /// The spend of the keys or the teams that may have budget windows, in US dollars.
    pub fn holders(&self, holder: EntityKind) -> HolderSpends<'_> {
        let found = budget_windows::HOLDERS.into_iter().zip(&self.holders).find(|(kind, _)| *kind == holder);
        found.map(|(_, totals)| budget_windows::spends(totals, &self.names)).unwrap_or_default()
    }

    /// What a fold has for each column of a table. It is empty for a table that takes more than sums: the log, the
    /// index of tools, and budget windows.
    pub fn columns(&self, role: Role) -> Vec<Column<'_>> {
        match role {
            Role::Entity(kind) => entities::columns(kind, &self.entities(kind)),
            Role::Daily(kind) => daily::columns(kind, &self.daily(kind)),
            Role::Rollup(Rollup::ModelUsage) => model_usage::columns(&self.model_usage()),
            Role::Rollup(Rollup::ToolSpend) => tool_spend::columns(&self.tool_spend()),
            Role::Rollup(Rollup::RequestErrors) => request_errors::columns(&self.request_errors()),
            Role::Rollup(Rollup::GatewayRequests) => gateway_requests::columns(&self.gateway_requests()),
            Role::Rollup(Rollup::GatewayFailedRequests) => {
                gateway_requests::failed_columns(&self.gateway_failed_requests())
            }
            Role::Log
            | Role::ToolIndex
            | Role::WindowSpend
            | Role::Budget
            | Role::DeprecatedKeys
            | Role::Deliveries => Vec::new(),
        }
    }

    /// How many rows of targets the sums change.
    pub fn rows(&self) -> usize {
        self.daily_rows()
            + self.entities.len()
            + self.model_usage.len()
            + self.tool_spend.len()
            + self.request_errors.len()
            + self.gateway_requests.len()
    }

    /// About how many bytes the sums take: the names, and every row counted as a daily row, because those are the
    /// largest.
    pub fn bytes(&self) -> usize {
        self.names.bytes() + self.rows() * size_of::<(DailyKey<Name>, DailyRow<Name>)>()
    }

    fn daily_rows(&self) -> usize {
        self.daily.iter().map(DailyTotals::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::json::Json;
    use crate::litellm::tables::Switch;

    const FULL: DailyShape = DailyShape { has_mcp_tool: true, has_endpoint: true, has_model_group: false };

    #[derive(Debug, Clone)]
    struct Sent {
        user: u8,
        tag: u8,
        cents: i32,
        tokens: u32,
        failed: bool,
        day: u8,
    }

    fn sent() -> impl Strategy<Value = Sent> {
        (0u8..4, 0u8..3, -500i32..5000, 0u32..5000, any::<bool>(), 0u8..3)
            .prop_map(|(user, tag, cents, tokens, failed, day)| Sent { user, tag, cents, tokens, failed, day })
    }

    fn text(index: usize, sent: &Sent) -> String {
        format!(
            r#"{{"request_id":"r{index}","spend":{},"startTime":{},"user":"u{}","request_tags":["t{}","t0"],
               "prompt_tokens":{},"status":"{}","call_type":"completion","model":"m"}}"#,
            f64::from(sent.cents) / 100.0,
            86_400 * u32::from(sent.day) + 5,
            sent.user,
            sent.tag,
            sent.tokens,
            if sent.failed { "failure" } else { "success" }
        )
    }

    /// Folds `order` in batches that end where `cuts` says, and adds the batches up per row of the daily user table.
    fn folded(texts: &[String], order: &[usize], cuts: &[bool]) -> (BTreeMap<String, (f64, i64, i64, i64)>, f64) {
        let (mut rows, mut spend) = (BTreeMap::<String, (f64, i64, i64, i64)>::new(), 0.0);
        let mut totals = Totals::new(|_| Some(FULL));
        for (at, index) in order.iter().enumerate() {
            let json = Json::from_text(&texts[*index]).unwrap();
            let record = SpendRecord::decode(&json).unwrap();
            totals.add(&record);
            if cuts[at] || at + 1 == order.len() {
                for (key, row) in totals.daily(DailyKind::User) {
                    let sum = rows.entry(format!("{} {}", key.entity, key.date)).or_default();
                    sum.0 += row.sums.spend.value();
                    sum.1 += row.sums.prompt_tokens;
                    sum.2 += row.sums.successful_requests;
                    sum.3 += row.sums.failed_requests;
                }
                spend += totals.entities(EntityKind::User).values().map(|sum| sum.value()).sum::<f64>();
                totals = Totals::new(|_| Some(FULL));
            }
        }
        (rows, spend)
    }

    proptest! {
        #[test]
        fn what_is_folded_is_what_was_recorded_for_any_split_and_order(
            sent in proptest::collection::vec(sent(), 1..40),
            cuts in proptest::collection::vec(any::<bool>(), 40),
            keys in proptest::collection::vec(any::<u32>(), 40),
        ) {
            let texts: Vec<String> = sent.iter().enumerate().map(|(index, sent)| text(index, sent)).collect();
            let mut order: Vec<usize> = (0..sent.len()).collect();
            order.sort_by_key(|index| keys[*index]);
            let (rows, spend) = folded(&texts, &order, &cuts);

            let expected: f64 = sent.iter().map(|s| f64::from(s.cents) / 100.0).sum();
            prop_assert!((spend - expected).abs() < 1e-9);
            for (name, row) in &rows {
                let of_row = |s: &&Sent| format!("u{} 1970-01-0{}", s.user, s.day + 1) == *name;
                let mine: Vec<_> = sent.iter().filter(of_row).collect();
                prop_assert!((row.0 - mine.iter().map(|s| f64::from(s.cents) / 100.0).sum::<f64>()).abs() < 1e-9);
                prop_assert_eq!(row.1, mine.iter().map(|s| i64::from(s.tokens)).sum::<i64>());
                prop_assert_eq!(row.2, mine.iter().filter(|s| !s.failed).count() as i64);
                prop_assert_eq!(row.3, mine.iter().filter(|s| s.failed).count() as i64);
            }
            prop_assert_eq!(rows.values().map(|row| row.2 + row.3).sum::<i64>(), sent.len() as i64);
        }
    }

    #[test]
    fn the_rows_of_each_table_count_towards_the_size_of_a_fold() {
        let json = Json::from_text(
            r#"{"request_id":"r","spend":2,"startTime":0,"user":"u","team_id":"t","organization_id":"o","end_user":"e",
                "project_id":"p","agent_id":"a","api_key":"k","request_tags":["x"],"request_model_access_groups":["g"],
                "tool_calls":["find"],"status":"failure","made_outside_proxy":true}"#,
        );
        let json = json.unwrap();
        let mut totals = Totals::new(|_| Some(FULL));
        totals.add(&SpendRecord::decode(&json).unwrap());
        let rows = |role| columns::rows(&totals.columns(role));
        let of_gateway = |role: &Role| role.switch() == Some(Switch::CountGatewayRequests);
        let summed: Vec<Role> =
            Role::all().filter(|role| matches!(role, Role::Entity(_) | Role::Daily(_) | Role::Rollup(_))).collect();
        assert!(summed.iter().all(|role| rows(*role) > 0), "the record must reach each table");
        let others: usize = summed.iter().filter(|role| !of_gateway(role)).map(|role| rows(*role)).sum();
        assert_eq!(totals.rows(), others + totals.gateway_requests.len());
    }

    #[test]
    fn an_internal_call_counts_its_spend_but_no_request() {
        let json = Json::from_text(
            r#"{"request_id":"r","spend":2,"startTime":0,"endTime":1,"prompt_tokens":3,"internal_call_origin":"x"}"#,
        );
        let json = json.unwrap();
        let mut totals = Totals::new(|_| Some(FULL));
        totals.add(&SpendRecord::decode(&json).unwrap());
        let sums = totals.daily(DailyKind::User).into_values().next().unwrap().sums;
        assert_eq!((sums.spend.value(), sums.prompt_tokens), (2.0, 3));
        assert_eq!((sums.api_requests, sums.successful_requests, sums.timed_requests), (0, 0, 0));
    }

    #[test]
    fn a_proxys_own_budget_is_charged_beside_the_user() {
        let json = Json::from_text(
            r#"{"request_id":"r","spend":2,"startTime":0,"user":"u","proxy_budget_name":"litellm-proxy-budget"}"#,
        );
        let json = json.unwrap();
        let mut totals = Totals::new(|_| Some(FULL));
        totals.add(&SpendRecord::decode(&json).unwrap());
        let users: Vec<_> =
            totals.entities(EntityKind::User).into_iter().map(|((id, _), sum)| (id, sum.value())).collect();
        assert_eq!(users, [("litellm-proxy-budget", 2.0), ("u", 2.0)]);
        assert_eq!(totals.daily(DailyKind::User).len(), 1);
    }

    #[test]
    fn records_that_differ_only_in_a_column_the_index_lacks_share_a_row() {
        let texts = [
            r#"{"request_id":"a","spend":1,"startTime":0,"call_type":"completion"}"#,
            r#"{"request_id":"b","spend":1,"startTime":0,"call_type":"embedding"}"#,
        ];
        let jsons = texts.map(|text| Json::from_text(text).unwrap());
        let rows_with = |has_endpoint| {
            let mut totals = Totals::new(|_| Some(DailyShape { has_endpoint, ..FULL }));
            for json in &jsons {
                totals.add(&SpendRecord::decode(json).unwrap());
            }
            totals.daily(DailyKind::Team).len()
        };
        assert_eq!((rows_with(true), rows_with(false)), (2, 1));
    }

    #[test]
    fn a_daily_table_that_is_not_there_gets_no_rows() {
        let json = Json::from_text(r#"{"request_id":"r","spend":1,"startTime":0}"#).unwrap();
        let mut totals = Totals::new(|kind| (kind != DailyKind::Team).then_some(FULL));
        totals.add(&SpendRecord::decode(&json).unwrap());
        assert_eq!((totals.daily(DailyKind::User).len(), totals.daily(DailyKind::Team).len()), (1, 0));
    }
}
