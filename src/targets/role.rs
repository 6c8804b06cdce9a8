//! What each of LiteLLM's tables is to a fold: its name, the columns that are written and the key by
//! which its rows are found.

use litellm_spend_core::totals::daily::DailyKind;
use litellm_spend_core::totals::entities::EntityKind;
use litellm_spend_core::totals::{
    budget_windows as window_sums, gateway_requests as gateway, model_usage, request_errors, tool_spend,
};

use crate::fold::admit::{deliveries, log};
use crate::fold::write::{budget, budget_windows, daily, entities, gateway_requests, rollups, tool_index};

/// A table's part in a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    Log,
    Entity(EntityKind),
    /// Only the budget of organizations that a fold creates.
    Budget,
    /// Read only: which key replaced another.
    DeprecatedKeys,
    /// LiteLLM's ledger since 1.110: the requests that it has logged, and whether it has charged them.
    Deliveries,
    Daily(DailyKind),
    ModelUsage,
    ToolSpend,
    ToolIndex,
    RequestErrors,
    /// What the UI's total requests and success rate are read from.
    GatewayRequests,
    GatewayFailedRequests,
    WindowSpend,
}

/// The order in which a fold locks and writes its targets: that of the LiteLLM beside which it runs (invariant 8).
/// The log comes first, because LiteLLM logs a request before it charges it. LiteLLM adds to the tool tables, to
/// the request errors and to the gateway's requests in transactions that write nothing else, so their places are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableOrder {
    /// LiteLLM up to 1.109.
    Queues,
    /// LiteLLM since 1.110, whose projector charges all tables in one transaction (accounting/application.py).
    Ledger,
}

impl TableOrder {
    /// The targets in this order.
    pub fn targets(self) -> impl Iterator<Item = Role> {
        let (entities, days, rollups) = match self {
            TableOrder::Queues => {
                (EntityKind::ALL, DailyKind::ALL, [Role::WindowSpend, Role::ToolSpend, Role::ModelUsage])
            }
            TableOrder::Ledger => (
                EntityKind::LEDGER_ORDER,
                DailyKind::LEDGER_ORDER,
                [Role::ModelUsage, Role::WindowSpend, Role::ToolSpend],
            ),
        };
        [Role::Log, Role::ToolIndex]
            .into_iter()
            .chain(entities.map(Role::Entity))
            .chain(days.map(Role::Daily))
            .chain(rollups)
            .chain([Role::RequestErrors, Role::GatewayRequests, Role::GatewayFailedRequests])
    }
}

impl Role {
    /// Every role.
    pub fn all() -> impl Iterator<Item = Role> {
        TableOrder::Queues.targets().chain([Role::Budget, Role::DeprecatedKeys, Role::Deliveries])
    }

    /// LiteLLM's table.
    pub fn table(self) -> &'static str {
        match self {
            Role::Log => log::TABLE,
            Role::Entity(kind) => kind.table(),
            Role::Budget => budget::TABLE,
            Role::DeprecatedKeys => "LiteLLM_DeprecatedVerificationToken",
            Role::Deliveries => deliveries::TABLE,
            Role::Daily(kind) => kind.table(),
            Role::ModelUsage => model_usage::TABLE,
            Role::ToolSpend => tool_spend::TABLE,
            Role::ToolIndex => tool_spend::INDEX_TABLE,
            Role::RequestErrors => request_errors::TABLE,
            Role::GatewayRequests => gateway::TABLE,
            Role::GatewayFailedRequests => gateway::FAILED_TABLE,
            Role::WindowSpend => window_sums::TABLE,
        }
    }

    /// Whether a fold writes spend to it.
    pub fn is_target(self) -> bool {
        !matches!(self, Role::Budget | Role::DeprecatedKeys | Role::Deliveries)
    }

    /// Whether a fold may delete rows of it: old ones with NULL in their key.
    pub fn deletes_rows(self) -> bool {
        matches!(self, Role::Daily(_))
    }

    /// Whether it is written only together with the log, as in LiteLLM.
    pub fn belongs_to_log(self) -> bool {
        matches!(self, Role::Log | Role::ToolIndex | Role::ToolSpend)
    }

    /// Whether it counts requests that were made outside a proxy, which a setting switches off.
    pub fn is_of_gateway(self) -> bool {
        matches!(self, Role::GatewayRequests | Role::GatewayFailedRequests)
    }

    /// The columns that a fold writes where the table has them.
    pub fn columns(self) -> Vec<&'static str> {
        match self {
            Role::Log => log::COLUMNS.to_vec(),
            Role::Entity(kind) => entities::columns(kind),
            Role::Budget => budget::COLUMNS.to_vec(),
            Role::DeprecatedKeys | Role::Deliveries => Vec::new(),
            Role::Daily(kind) => daily::columns(kind),
            Role::ModelUsage => rollups::MODEL_USAGE_COLUMNS.to_vec(),
            Role::ToolSpend => rollups::TOOL_SPEND_COLUMNS.to_vec(),
            Role::ToolIndex => tool_index::COLUMNS.to_vec(),
            Role::RequestErrors => rollups::REQUEST_ERROR_COLUMNS.to_vec(),
            Role::GatewayRequests => gateway_requests::COLUMNS.to_vec(),
            Role::GatewayFailedRequests => gateway_requests::FAILED_COLUMNS.to_vec(),
            Role::WindowSpend => budget_windows::COLUMNS.to_vec(),
        }
    }

    /// The columns of the unique key by which a fold finds a row: those that every version of LiteLLM
    /// has in it, and those that only some have. `None` where a fold needs no key.
    pub fn key(self) -> Option<(&'static [&'static str], &'static [&'static str])> {
        match self {
            Role::Log | Role::Budget | Role::DeprecatedKeys | Role::Deliveries | Role::ToolIndex => None,
            Role::Entity(kind) => Some((kind.key_columns(), &[])),
            Role::Daily(kind) => Some((daily::required_key(kind), &daily::OPTIONAL_KEY)),
            Role::ModelUsage => Some((&rollups::MODEL_USAGE_KEY, &[])),
            Role::ToolSpend => Some((&rollups::TOOL_SPEND_KEY, &[])),
            Role::RequestErrors => Some((&rollups::REQUEST_ERROR_KEY, &[])),
            Role::GatewayRequests => Some((&gateway_requests::KEY, &[])),
            Role::GatewayFailedRequests => Some((&gateway_requests::FAILED_KEY, &[])),
            Role::WindowSpend => Some((&budget_windows::KEY, &[])),
        }
    }
}
