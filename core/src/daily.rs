//! The daily tables: one row per entity, UTC day, key, model, provider, tool and endpoint. The key is
//! a real tuple, grouped by just those columns that the table's unique index has.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::endpoint;
use crate::record::{CallOrigin, SpendRecord};
use crate::sum::Sum;

type Text<'a> = Cow<'a, str>;

/// A daily table that the fold writes; the order is that in which LiteLLM writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DailyKind {
    User,
    Team,
    Organization,
    EndUser,
    Agent,
    Tag,
}

impl DailyKind {
    pub const ALL: [DailyKind; 6] = [
        DailyKind::User,
        DailyKind::Team,
        DailyKind::Organization,
        DailyKind::EndUser,
        DailyKind::Agent,
        DailyKind::Tag,
    ];

    /// LiteLLM's table.
    pub fn table(self) -> &'static str {
        match self {
            DailyKind::User => "LiteLLM_DailyUserSpend",
            DailyKind::Team => "LiteLLM_DailyTeamSpend",
            DailyKind::Organization => "LiteLLM_DailyOrganizationSpend",
            DailyKind::EndUser => "LiteLLM_DailyEndUserSpend",
            DailyKind::Agent => "LiteLLM_DailyAgentSpend",
            DailyKind::Tag => "LiteLLM_DailyTagSpend",
        }
    }

    /// The column that names the entity.
    pub fn entity_column(self) -> &'static str {
        match self {
            DailyKind::User => "user_id",
            DailyKind::Team => "team_id",
            DailyKind::Organization => "organization_id",
            DailyKind::EndUser => "end_user_id",
            DailyKind::Agent => "agent_id",
            DailyKind::Tag => "tag",
        }
    }

    /// The entities whose row a record belongs to. A missing user or team is `''`: the UI's global
    /// pages read those rows.
    fn entities<'a>(self, record: &SpendRecord<'a>) -> Vec<Text<'a>> {
        let if_named = |name: &Text<'a>| if name.is_empty() { Vec::new() } else { vec![name.clone()] };
        match self {
            DailyKind::User => vec![record.user.clone()],
            DailyKind::Team => vec![record.team_id.clone()],
            DailyKind::Organization => if_named(&record.organization_id),
            DailyKind::EndUser => if_named(&record.end_user),
            DailyKind::Agent => record.agent_id.iter().flat_map(if_named).collect(),
            DailyKind::Tag => record.tags.clone(),
        }
    }
}

/// Which of the key columns that came with later versions of LiteLLM the unique index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyShape {
    pub has_mcp_tool: bool,
    pub has_endpoint: bool,
    pub has_model_group: bool,
}

/// The unique key. The order of the fields is that of the index, so that rows are locked in its order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DailyKey<'a> {
    pub entity: Text<'a>,
    /// `YYYY-MM-DD`, UTC.
    pub date: String,
    pub api_key: Text<'a>,
    pub model: Text<'a>,
    pub custom_llm_provider: Text<'a>,
    pub mcp_namespaced_tool_name: Text<'a>,
    pub endpoint: &'static str,
    /// `""` where the index lacks it, and the row keeps its first writer's.
    pub model_group: Text<'a>,
}

/// What a batch adds to one row.
#[derive(Debug, Clone, PartialEq)]
pub struct DailyRow<'a> {
    /// Mostly not part of the key: the first writer's stays, as in LiteLLM.
    pub model_group: Text<'a>,
    /// For the tag table: the first request of the batch.
    pub request_id: Text<'a>,
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

/// Rows by key, in the order in which they are locked.
pub type DailyRows<'a> = BTreeMap<DailyKey<'a>, DailyRow<'a>>;

/// Adds a record to the rows of `kind` that it belongs to.
pub fn add<'a>(rows: &mut DailyRows<'a>, kind: DailyKind, shape: DailyShape, record: &SpendRecord<'a>) {
    for entity in kind.entities(record) {
        let key = DailyKey {
            entity,
            date: record.start.utc_date(),
            api_key: record.api_key.clone(),
            model: record.model.clone(),
            custom_llm_provider: record.custom_llm_provider.clone(),
            mcp_namespaced_tool_name: match &record.mcp_namespaced_tool_name {
                Some(tool) if shape.has_mcp_tool => tool.clone(),
                _ => Cow::Borrowed(""),
            },
            endpoint: if shape.has_endpoint { endpoint::of_call_type(&record.call_type) } else { "" },
            model_group: if shape.has_model_group { record.model_group.clone() } else { Cow::Borrowed("") },
        };
        rows.entry(key).or_insert_with(|| DailyRow::first(record)).add(record);
    }
}

impl<'a> DailyRow<'a> {
    fn first(record: &SpendRecord<'a>) -> Self {
        DailyRow {
            model_group: record.model_group.clone(),
            request_id: record.request_id.clone(),
            prompt_tokens: 0,
            completion_tokens: 0,
            cache_read_input_tokens: 0,
            cache_creation_input_tokens: 0,
            spend: Sum::default(),
            api_requests: 0,
            successful_requests: 0,
            failed_requests: 0,
            total_response_time_ms: 0,
            timed_requests: 0,
            compression_saved_tokens: 0,
            compression_savings_spend: Sum::default(),
            prompt_caching_savings_spend: Sum::default(),
            gateway_injected_caching_savings_spend: Sum::default(),
            autorouter_savings_spend: Sum::default(),
        }
    }

    fn add(&mut self, record: &SpendRecord<'a>) {
        let is_callers = record.origin == CallOrigin::Caller;
        let requests = i64::from(is_callers && !record.is_billed_retry);
        let timed = !record.is_failure && is_callers && record.request_duration_ms >= 0;
        let tally = |column: &mut i64, by: i64| *column = column.saturating_add(by);
        tally(&mut self.prompt_tokens, record.prompt_tokens);
        tally(&mut self.completion_tokens, record.completion_tokens);
        tally(&mut self.cache_read_input_tokens, record.cache_read_input_tokens);
        tally(&mut self.cache_creation_input_tokens, record.cache_creation_input_tokens);
        tally(&mut self.api_requests, requests);
        tally(if record.is_failure { &mut self.failed_requests } else { &mut self.successful_requests }, requests);
        if timed {
            tally(&mut self.total_response_time_ms, record.request_duration_ms);
            tally(&mut self.timed_requests, 1);
        }
        self.spend.add(record.spend);
        let savings = &record.savings;
        tally(&mut self.compression_saved_tokens, savings.compression_tokens);
        self.compression_savings_spend.add(savings.compression);
        self.prompt_caching_savings_spend.add(savings.prompt_caching);
        self.gateway_injected_caching_savings_spend.add(savings.gateway_injected_caching);
        if is_callers {
            self.autorouter_savings_spend.add(savings.autorouter);
        }
    }
}
