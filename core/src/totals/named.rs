//! The names under which a record is summed up. They are looked up once for all targets.

use std::collections::HashMap;

use super::names::{Name, Names};
use crate::moment::Day;
use crate::record::SpendRecord;

/// The names of one record. A name that the record does not have is `Name::EMPTY`.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// The UTC day of the start, `YYYY-MM-DD`.
    pub date: Name,
    pub api_key: Name,
    /// The key whose row is charged: the record's key, or the key that replaced it.
    pub charged_key: Name,
    pub user: Name,
    pub team: Name,
    pub organization: Name,
    pub end_user: Name,
    pub project: Name,
    pub proxy_budget: Name,
    pub agent: Name,
    pub model: Name,
    pub model_group: Name,
    pub provider: Name,
    pub mcp_tool: Name,
}

/// The name of each day, so that a date is written out only once.
pub type Dates = HashMap<Day, Name>;

impl Named {
    /// Looks up the names of a record and adds new ones.
    pub fn new(names: &mut Names, dates: &mut Dates, record: &SpendRecord) -> Self {
        let day = record.timing.start.utc_day();
        let date = *dates.entry(day).or_insert_with(|| names.intern(&day.to_string()));
        let api_key = names.intern(&record.identity.api_key);
        let charged_key = match &record.identity.claim.active_key {
            Some(active) => names.intern(active),
            None => api_key,
        };
        Named {
            date,
            api_key,
            charged_key,
            user: names.intern(&record.identity.user),
            team: names.intern(&record.identity.team_id),
            organization: names.intern(&record.identity.organization_id),
            end_user: names.intern(&record.identity.end_user),
            project: names.intern(&record.identity.project_id),
            proxy_budget: names.intern(&record.identity.proxy_budget_name),
            agent: names.intern(record.identity.agent_id.as_deref().unwrap_or_default()),
            model: names.intern(&record.call.model),
            model_group: names.intern(&record.call.model_group),
            provider: names.intern(&record.call.custom_llm_provider),
            mcp_tool: names.intern(record.identity.mcp_namespaced_tool_name.as_deref().unwrap_or_default()),
        }
    }
}
