//! Which numbers can be derived from the log. These are the numbers of the daily tables, except those that no column of
//! the log holds: savings, the tools that a request called, and columns that an older log lacks.

use litellm_spend_core::litellm::tables::{Role, Switch};
use litellm_spend_core::totals::Totals;
use litellm_spend_core::totals::columns::{OnConflict, Values};
use litellm_spend_core::totals::gateway_requests::{CATEGORY, ROUTE};
use pgrx::spi::quote_literal;

use crate::targets::{Table, Target, Targets};

/// Columns of the daily tables that the log does not hold.
const NOT_LOGGED: [&str; 5] = [
    "compression_saved_tokens",
    "compression_savings_spend",
    "prompt_caching_savings_spend",
    "gateway_injected_caching_savings_spend",
    "autorouter_savings_spend",
];

/// A table, its key and the numbers that can be compared.
pub struct Derivable<'t> {
    pub role: Role,
    pub target: &'t Target,
    pub keys: Vec<&'static str>,
    pub counts: Vec<&'static str>,
    pub dollars: Vec<&'static str>,
}

/// Whether a comparison reads the table of this role.
pub fn is_read(role: Role) -> bool {
    matches!(role, Role::Log | Role::Deliveries) || role.follows_from_log()
}

/// The tables that can be compared.
pub fn tables<'t>(targets: &'t Targets, log: &Table) -> Vec<Derivable<'t>> {
    let roles = Role::all().filter(|role| role.follows_from_log());
    roles.filter_map(|role| derivable(role, targets.get(role)?, log)).collect()
}

fn derivable<'t>(role: Role, target: &'t Target, log: &Table) -> Option<Derivable<'t>> {
    let has_tool = target.key.as_ref().is_some_and(|key| key.has("mcp_namespaced_tool_name"));
    let tool = has_tool.then_some("mcp_namespaced_tool_name");
    let entity = if let Role::Daily(kind) = role { Some(kind.logged_column()) } else { None };
    if !["status"].into_iter().chain(entity).chain(tool).all(|column| log.has(column)) {
        return None;
    }
    let is_logged = |name: &str| match name {
        "total_response_time_ms" | "timed_requests" => log.has("request_duration_ms"),
        _ => !NOT_LOGGED.contains(&name),
    };
    let mut table = Derivable { role, target, keys: Vec::new(), counts: Vec::new(), dollars: Vec::new() };
    for column in Totals::default().columns(role) {
        let is_compared = target.table.has(column.name) && is_logged(column.name);
        match (column.on_conflict, &column.values) {
            (OnConflict::Keep, _) if target.key.as_ref().is_some_and(|key| key.has(column.name)) => {
                table.keys.push(column.name);
            }
            (OnConflict::Add, Values::Count(_)) if is_compared => table.counts.push(column.name),
            (OnConflict::Add, Values::Dollars(_)) if is_compared => table.dollars.push(column.name),
            _ => {}
        }
    }
    Some(table)
}

impl Derivable<'_> {
    /// The condition for the rows of the table `t` that folds write. LiteLLM's proxies write the other rows.
    pub fn condition(&self) -> String {
        if self.role.switch() == Some(Switch::CountGatewayRequests) {
            format!("t.category = {} AND t.route = {}", quote_literal(CATEGORY), quote_literal(ROUTE))
        } else {
            "true".to_owned()
        }
    }
}
