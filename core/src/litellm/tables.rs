//! The ground table: each of LiteLLM's tables that a fold reads or writes, with its name, the key of its rows, and its
//! place in the order in which tables are written. To add a table of a known kind, add an entry here. The functions in
//! `totals` do not compile until they handle it.

/// A table's place in each order of writing (`write_order`); a lower one is written first. There is room between
/// two places for a table that LiteLLM adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Up to LiteLLM 1.109.
    pub before_110: u16,
    /// Since LiteLLM 1.110.
    pub since_110: u16,
}

/// Declares the tables of one kind, each with its facts.
macro_rules! tables {
    ($(#[$doc:meta])* $kind:ident: $facts:ident { $($(#[$table_doc:meta])* $table:ident { $($fact:ident: $value:expr),* $(,)? })* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind { $($(#[$table_doc])* $table),* }

        impl $kind {
            /// Every table of this kind, in the order of this file.
            pub const ALL: [$kind; [$(stringify!($table)),*].len()] = [$($kind::$table),*];

            const fn facts(self) -> $facts {
                match self { $($kind::$table => $facts { $($fact: $value),* }),* }
            }
        }
    };
}

struct Entity {
    table: &'static str,
    /// The key columns, in the order by which LiteLLM sorts the rows.
    key: &'static [&'static str],
    /// The columns that LiteLLM updates beside `spend`.
    also: &'static [&'static str],
    /// The word for this kind in `litellm_spend.create_missing`; `None` for a membership, because no setting creates
    /// one.
    word: Option<&'static str>,
    place: Place,
}

tables! {
    /// A kind of entity with a running `spend`.
    EntityKind: Entity {
        User {
            table: "LiteLLM_UserTable", key: &["user_id"], also: &["updated_at"], word: Some("user"),
            place: Place { before_110: 100, since_110: 130 },
        }
        EndUser {
            table: "LiteLLM_EndUserTable", key: &["user_id"], also: &[], word: Some("end_user"),
            place: Place { before_110: 110, since_110: 140 },
        }
        Key {
            table: "LiteLLM_VerificationToken", key: &["token"], also: &["total_spend", "last_active", "updated_at"],
            word: Some("key"), place: Place { before_110: 120, since_110: 160 },
        }
        Team {
            table: "LiteLLM_TeamTable", key: &["team_id"], also: &["updated_at"], word: Some("team"),
            place: Place { before_110: 130, since_110: 120 },
        }
        TeamMember {
            table: "LiteLLM_TeamMembership", key: &["team_id", "user_id"], also: &["total_spend"], word: None,
            place: Place { before_110: 140, since_110: 150 },
        }
        Organization {
            table: "LiteLLM_OrganizationTable", key: &["organization_id"], also: &["updated_at"],
            word: Some("organization"), place: Place { before_110: 150, since_110: 100 },
        }
        OrganizationMember {
            table: "LiteLLM_OrganizationMembership", key: &["organization_id", "user_id"], also: &["updated_at"],
            word: None, place: Place { before_110: 160, since_110: 110 },
        }
        Project {
            table: "LiteLLM_ProjectTable", key: &["project_id"], also: &["updated_at"], word: Some("project"),
            place: Place { before_110: 170, since_110: 170 },
        }
        Tag {
            table: "LiteLLM_TagTable", key: &["tag_name"], also: &["updated_at"], word: Some("tag"),
            place: Place { before_110: 180, since_110: 180 },
        }
        ModelAccessGroup {
            table: "LiteLLM_ModelAccessGroupBudgetTable", key: &["access_group_name"], also: &["updated_at"],
            word: Some("model_access_group"), place: Place { before_110: 190, since_110: 190 },
        }
        Agent {
            table: "LiteLLM_AgentsTable", key: &["agent_id"], also: &["updated_at"], word: Some("agent"),
            place: Place { before_110: 200, since_110: 200 },
        }
    }
}

struct Daily {
    table: &'static str,
    /// The column that names the entity.
    entity: &'static str,
    /// The column of the log that names the entity.
    logged: &'static str,
    place: Place,
}

tables! {
    /// A daily table: one row per entity, UTC day, key, model and provider.
    DailyKind: Daily {
        User {
            table: "LiteLLM_DailyUserSpend", entity: "user_id", logged: "user",
            place: Place { before_110: 300, since_110: 350 },
        }
        Team {
            table: "LiteLLM_DailyTeamSpend", entity: "team_id", logged: "team_id",
            place: Place { before_110: 310, since_110: 340 },
        }
        Organization {
            table: "LiteLLM_DailyOrganizationSpend", entity: "organization_id", logged: "organization_id",
            place: Place { before_110: 320, since_110: 320 },
        }
        EndUser {
            table: "LiteLLM_DailyEndUserSpend", entity: "end_user_id", logged: "end_user",
            place: Place { before_110: 330, since_110: 310 },
        }
        Agent {
            table: "LiteLLM_DailyAgentSpend", entity: "agent_id", logged: "agent_id",
            place: Place { before_110: 340, since_110: 300 },
        }
        Tag {
            table: "LiteLLM_DailyTagSpend", entity: "tag", logged: "request_tags",
            place: Place { before_110: 350, since_110: 330 },
        }
    }
}

/// The key columns that every version of LiteLLM has in a daily table, beside the entity's column.
const DAILY_KEY: [&str; 4] = ["date", "api_key", "model", "custom_llm_provider"];

/// The key columns that later versions of LiteLLM added to the daily tables.
const LATER_DAILY_KEY: [&str; 3] = ["mcp_namespaced_tool_name", "endpoint", "model_group"];

/// The setting that turns off the writes to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// `litellm_spend.write_spend_logs`
    WriteSpendLogs,
    /// `litellm_spend.count_gateway_requests`
    CountGatewayRequests,
}

struct DailyRollup {
    table: &'static str,
    key: &'static [&'static str],
    switch: Option<Switch>,
    /// Whether the columns of the log determine all of its numbers.
    follows_from_log: bool,
    place: Place,
}

tables! {
    /// A daily table of sums that is not kept per entity.
    Rollup: DailyRollup {
        /// The Tools page.
        ToolSpend {
            table: "LiteLLM_DailyToolSpend", key: &["date", "tool_name"],
            switch: Some(Switch::WriteSpendLogs), follows_from_log: false, place: Place { before_110: 410, since_110: 420 },
        }
        /// The Model Insights page.
        ModelUsage {
            table: "LiteLLM_DailyModelUsage",
            key: &["date", "model_group", "model", "custom_llm_provider", "task_type"],
            switch: None, follows_from_log: true, place: Place { before_110: 420, since_110: 400 },
        }
        /// The table of the Errors page.
        RequestErrors {
            table: "LiteLLM_DailyRequestErrors",
            key: &["date", "api_key", "team_id", "user_id", "model_group", "status_code"],
            switch: None, follows_from_log: true, place: Place { before_110: 430, since_110: 430 },
        }
        /// The table of the UI's total requests and success rate.
        GatewayRequests {
            table: "LiteLLM_DailyGatewayRequests", key: &["date", "category", "route"],
            switch: Some(Switch::CountGatewayRequests), follows_from_log: true,
            place: Place { before_110: 440, since_110: 440 },
        }
        /// The table of the requests in `GatewayRequests` that failed, by HTTP status.
        GatewayFailedRequests {
            table: "LiteLLM_DailyGatewayFailedRequests", key: &["date", "category", "route", "status_code"],
            switch: Some(Switch::CountGatewayRequests), follows_from_log: true,
            place: Place { before_110: 450, since_110: 450 },
        }
    }
}

/// The role of a table in a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The log: one row for each request.
    Log,
    /// The index of tools: which logged request called which tool.
    ToolIndex,
    /// A table of entities with a running `spend`.
    Entity(EntityKind),
    /// A daily table of one kind of entity.
    Daily(DailyKind),
    /// A daily table of sums that is not kept per entity.
    Rollup(Rollup),
    /// The spend of each key and team in each of its budget windows.
    WindowSpend,
    /// The budgets. A fold creates one budget, for the organizations that it creates.
    Budget,
    /// Which key replaced which other key; folds only read it.
    DeprecatedKeys,
    /// LiteLLM's ledger since 1.110: which requests it has logged and whether it has charged them; folds only read it.
    Deliveries,
}

/// The columns of a table's unique key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableKey {
    /// The columns that every version of LiteLLM has in the key.
    pub required: Vec<&'static str>,
    /// The columns that only some versions have in the key.
    pub optional: &'static [&'static str],
}

impl Role {
    /// Every role: the targets in the order in which LiteLLM up to 1.109 writes them, then the others.
    pub fn all() -> impl Iterator<Item = Role> {
        [Role::Log, Role::ToolIndex]
            .into_iter()
            .chain(EntityKind::ALL.map(Role::Entity))
            .chain(DailyKind::ALL.map(Role::Daily))
            .chain([Role::WindowSpend])
            .chain(Rollup::ALL.map(Role::Rollup))
            .chain([Role::Budget, Role::DeprecatedKeys, Role::Deliveries])
    }

    /// LiteLLM's name of the table.
    pub const fn table(self) -> &'static str {
        match self {
            Role::Log => "LiteLLM_SpendLogs",
            Role::ToolIndex => "LiteLLM_SpendLogToolIndex",
            Role::Entity(kind) => kind.facts().table,
            Role::Daily(kind) => kind.facts().table,
            Role::Rollup(rollup) => rollup.facts().table,
            Role::WindowSpend => "LiteLLM_BudgetWindowSpend",
            Role::Budget => "LiteLLM_BudgetTable",
            Role::DeprecatedKeys => "LiteLLM_DeprecatedVerificationToken",
            Role::Deliveries => "LiteLLM_SpendLogDelivery",
        }
    }

    /// The key by which a fold finds a row of the table; `None` if a fold looks for no row.
    pub fn key(self) -> Option<TableKey> {
        let of = |required: &[&'static str]| Some(TableKey { required: required.to_vec(), optional: &[] });
        match self {
            Role::Entity(kind) => of(kind.key_columns()),
            Role::Daily(kind) => Some(TableKey {
                required: std::iter::once(kind.entity_column()).chain(DAILY_KEY).collect(),
                optional: &LATER_DAILY_KEY,
            }),
            Role::Rollup(rollup) => of(rollup.facts().key),
            Role::WindowSpend => of(&["entity_type", "entity_id", "window_duration"]),
            Role::Log | Role::ToolIndex | Role::Budget | Role::DeprecatedKeys | Role::Deliveries => None,
        }
    }

    /// The place of the table in the order of writing; `None` if a fold adds no spend to the table.
    pub const fn place(self) -> Option<Place> {
        match self {
            Role::Log => Some(Place { before_110: 0, since_110: 0 }),
            Role::ToolIndex => Some(Place { before_110: 10, since_110: 10 }),
            Role::Entity(kind) => Some(kind.facts().place),
            Role::Daily(kind) => Some(kind.facts().place),
            Role::Rollup(rollup) => Some(rollup.facts().place),
            Role::WindowSpend => Some(Place { before_110: 400, since_110: 410 }),
            Role::Budget | Role::DeprecatedKeys | Role::Deliveries => None,
        }
    }

    /// Whether a fold writes spend to the table.
    pub const fn is_target(self) -> bool {
        self.place().is_some()
    }

    /// The setting that turns off the writes to the table; `None` if no setting does.
    pub const fn switch(self) -> Option<Switch> {
        match self {
            Role::Log | Role::ToolIndex => Some(Switch::WriteSpendLogs),
            Role::Rollup(rollup) => rollup.facts().switch,
            _ => None,
        }
    }

    /// Whether a fold may delete rows of the table: old rows with NULL in their key.
    pub const fn deletes_rows(self) -> bool {
        matches!(self, Role::Daily(_))
    }

    /// Whether the log determines the numbers of the table.
    pub const fn follows_from_log(self) -> bool {
        match self {
            Role::Daily(_) => true,
            Role::Rollup(rollup) => rollup.facts().follows_from_log,
            _ => false,
        }
    }
}

impl EntityKind {
    /// The table's key columns, in the order by which LiteLLM sorts the rows.
    pub const fn key_columns(self) -> &'static [&'static str] {
        self.facts().key
    }

    /// The columns that LiteLLM updates beside `spend`, if the table has them.
    pub const fn columns_beside_spend(self) -> &'static [&'static str] {
        self.facts().also
    }

    /// The word for this kind in `litellm_spend.create_missing`; `None` for a membership, because no setting creates
    /// one.
    pub const fn word(self) -> Option<&'static str> {
        self.facts().word
    }
}

impl DailyKind {
    /// The column that names the entity.
    pub const fn entity_column(self) -> &'static str {
        self.facts().entity
    }

    /// The column of the log that names the entity.
    pub const fn logged_column(self) -> &'static str {
        self.facts().logged
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_table_stands_in_the_ground_table_once() {
        let names: BTreeSet<&str> = Role::all().map(Role::table).collect();
        assert_eq!(names.len(), Role::all().count());
    }

    #[test]
    fn a_word_of_create_missing_stands_for_one_kind() {
        let words: Vec<&str> = EntityKind::ALL.into_iter().filter_map(EntityKind::word).collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
    }
}
