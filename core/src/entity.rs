//! The entities that carry a running `spend`, in the order in which LiteLLM locks their tables
//! (db_spend_update_writer.py), and the spend that a batch adds to each.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::record::SpendRecord;
use crate::sum::Sum;

type Text<'a> = Cow<'a, str>;

/// A kind of entity; the order is LiteLLM's table order (invariant 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityKind {
    User,
    EndUser,
    Key,
    Team,
    TeamMember,
    Organization,
    OrganizationMember,
    Project,
    Tag,
    ModelAccessGroup,
    Agent,
}

impl EntityKind {
    pub const ALL: [EntityKind; 11] = [
        EntityKind::User,
        EntityKind::EndUser,
        EntityKind::Key,
        EntityKind::Team,
        EntityKind::TeamMember,
        EntityKind::Organization,
        EntityKind::OrganizationMember,
        EntityKind::Project,
        EntityKind::Tag,
        EntityKind::ModelAccessGroup,
        EntityKind::Agent,
    ];

    /// LiteLLM's table.
    pub fn table(self) -> &'static str {
        match self {
            EntityKind::User => "LiteLLM_UserTable",
            EntityKind::EndUser => "LiteLLM_EndUserTable",
            EntityKind::Key => "LiteLLM_VerificationToken",
            EntityKind::Team => "LiteLLM_TeamTable",
            EntityKind::TeamMember => "LiteLLM_TeamMembership",
            EntityKind::Organization => "LiteLLM_OrganizationTable",
            EntityKind::OrganizationMember => "LiteLLM_OrganizationMembership",
            EntityKind::Project => "LiteLLM_ProjectTable",
            EntityKind::Tag => "LiteLLM_TagTable",
            EntityKind::ModelAccessGroup => "LiteLLM_ModelAccessGroupBudgetTable",
            EntityKind::Agent => "LiteLLM_AgentsTable",
        }
    }

    /// The table's key columns, in the order in which LiteLLM sorts its rows.
    pub fn key_columns(self) -> &'static [&'static str] {
        match self {
            EntityKind::User | EntityKind::EndUser => &["user_id"],
            EntityKind::Key => &["token"],
            EntityKind::Team => &["team_id"],
            EntityKind::TeamMember => &["team_id", "user_id"],
            EntityKind::Organization => &["organization_id"],
            EntityKind::OrganizationMember => &["organization_id", "user_id"],
            EntityKind::Project => &["project_id"],
            EntityKind::Tag => &["tag_name"],
            EntityKind::ModelAccessGroup => &["access_group_name"],
            EntityKind::Agent => &["agent_id"],
        }
    }

    /// The name in `litellm_spend.create_missing`; `None` for a membership, which no setting creates.
    pub fn name(self) -> Option<&'static str> {
        match self {
            EntityKind::User => Some("user"),
            EntityKind::EndUser => Some("end_user"),
            EntityKind::Key => Some("key"),
            EntityKind::Team => Some("team"),
            EntityKind::Organization => Some("organization"),
            EntityKind::Project => Some("project"),
            EntityKind::Tag => Some("tag"),
            EntityKind::ModelAccessGroup => Some("model_access_group"),
            EntityKind::Agent => Some("agent"),
            EntityKind::TeamMember | EntityKind::OrganizationMember => None,
        }
    }
}

/// The key of an entity's row: one id, or for a membership the group's and the user's. The second is
/// `""` where the table has one key column.
pub type EntityId<'a> = (Text<'a>, Text<'a>);

/// Spend in US dollars by id, in byte order (`COLLATE "C"`), the order in which rows are locked.
pub type EntitySpend<'a> = BTreeMap<EntityId<'a>, Sum>;

/// What a batch adds to the entities of each kind.
#[derive(Debug, Default)]
pub struct EntityTotals<'a> {
    by_kind: [EntitySpend<'a>; EntityKind::ALL.len()],
}

impl<'a> EntityTotals<'a> {
    /// Adds a record to each entity that it names; a record that costs nothing still touches them.
    pub fn add(&mut self, record: &SpendRecord<'a>) {
        let spend = record.spend;
        self.charge(EntityKind::User, &record.user, spend);
        self.charge(EntityKind::EndUser, &record.end_user, spend);
        self.charge(EntityKind::Key, record.charged_key(), spend);
        self.charge(EntityKind::Team, &record.team_id, spend);
        self.charge_member(EntityKind::TeamMember, &record.team_id, &record.user, spend);
        self.charge(EntityKind::Organization, &record.organization_id, spend);
        self.charge_member(EntityKind::OrganizationMember, &record.organization_id, &record.user, spend);
        self.charge(EntityKind::Project, &record.project_id, spend);
        for tag in &record.tags {
            self.charge(EntityKind::Tag, tag, spend);
        }
        for group in &record.model_access_groups {
            self.charge(EntityKind::ModelAccessGroup, group, spend);
        }
        if let Some(agent) = &record.agent_id {
            self.charge(EntityKind::Agent, agent, spend);
        }
    }

    pub fn of(&self, kind: EntityKind) -> &EntitySpend<'a> {
        &self.by_kind[kind as usize]
    }

    fn charge(&mut self, kind: EntityKind, id: &Text<'a>, spend: f64) {
        if !id.is_empty() {
            self.by_kind[kind as usize].entry((id.clone(), Cow::Borrowed(""))).or_default().add(spend);
        }
    }

    fn charge_member(&mut self, kind: EntityKind, group: &Text<'a>, user: &Text<'a>, spend: f64) {
        if !group.is_empty() && !user.is_empty() {
            self.by_kind[kind as usize].entry((group.clone(), user.clone())).or_default().add(spend);
        }
    }
}
