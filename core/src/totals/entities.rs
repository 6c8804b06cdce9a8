//! The entities that carry a running `spend`, the orders in which LiteLLM locks their tables, and the spend that a
//! batch adds to each.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::named::Named;
use super::names::{Name, Names};
use super::sum::Sum;
use crate::record::SpendRecord;

/// How LiteLLM's proxy begins the tags that it adds for the client's user agent, with and without its version.
const USER_AGENT_TAG: &str = "User-Agent: ";

/// A kind of entity.
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
    /// All kinds, in the order in which LiteLLM up to 1.109 locks their tables (invariant 8).
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

    /// All kinds, in the order in which LiteLLM since 1.110 locks their tables (db_spend_update_writer.py).
    pub const LEDGER_ORDER: [EntityKind; 11] = [
        EntityKind::Organization,
        EntityKind::OrganizationMember,
        EntityKind::Team,
        EntityKind::User,
        EntityKind::EndUser,
        EntityKind::TeamMember,
        EntityKind::Key,
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

    /// Whether the row of this id is made where it is missing. Nobody manages the tags of user agents.
    pub fn is_created(self, (id, _): &EntityId) -> bool {
        self != EntityKind::Tag || !id.starts_with(USER_AGENT_TAG)
    }
}

/// The key of an entity's row: one id, or for a membership the group's and the user's. The second is
/// `""` where the table has one key column.
pub type EntityId<'n> = (&'n str, &'n str);

/// Spend in US dollars by id, in byte order (`COLLATE "C"`), the order in which rows are locked.
pub type EntitySpend<'n> = BTreeMap<EntityId<'n>, Sum>;

/// What a fold adds to the entities of each kind.
#[derive(Debug, Default)]
pub struct EntityTotals {
    by_kind: [HashMap<(Name, Name), Sum>; EntityKind::ALL.len()],
}

impl EntityTotals {
    /// Adds a record to each entity that it names; a record that costs nothing still touches them.
    pub fn add(&mut self, names: &mut Names, named: &Named, record: &SpendRecord) {
        let spend = record.spend;
        self.charge(EntityKind::User, named.user, spend);
        self.charge(EntityKind::User, named.proxy_budget, spend);
        self.charge(EntityKind::EndUser, named.end_user, spend);
        self.charge(EntityKind::Key, named.charged_key, spend);
        self.charge(EntityKind::Team, named.team, spend);
        self.charge_member(EntityKind::TeamMember, named.team, named.user, spend);
        self.charge(EntityKind::Organization, named.organization, spend);
        self.charge_member(EntityKind::OrganizationMember, named.organization, named.user, spend);
        self.charge(EntityKind::Project, named.project, spend);
        for tag in &record.tags {
            self.charge(EntityKind::Tag, names.intern(tag), spend);
        }
        for group in &record.model_access_groups {
            self.charge(EntityKind::ModelAccessGroup, names.intern(group), spend);
        }
        self.charge(EntityKind::Agent, named.agent, spend);
    }

    /// The spend of one kind, in order.
    pub fn of<'n>(&self, kind: EntityKind, names: &'n Names) -> EntitySpend<'n> {
        let spend = self.by_kind[kind as usize].iter();
        spend.map(|((id, member), sum)| ((names.text(*id), names.text(*member)), *sum)).collect()
    }

    /// How many entities there are.
    pub fn len(&self) -> usize {
        self.by_kind.iter().map(HashMap::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn charge(&mut self, kind: EntityKind, id: Name, spend: f64) {
        if !id.is_empty() {
            self.by_kind[kind as usize].entry((id, Name::EMPTY)).or_default().add(spend);
        }
    }

    fn charge_member(&mut self, kind: EntityKind, group: Name, user: Name, spend: f64) {
        if !group.is_empty() && !user.is_empty() {
            self.by_kind[kind as usize].entry((group, user)).or_default().add(spend);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn both_orders_name_each_kind_once() {
        let all = BTreeSet::from(EntityKind::ALL);
        assert_eq!(all.len(), EntityKind::ALL.len());
        assert_eq!(all, BTreeSet::from(EntityKind::LEDGER_ORDER));
    }
}
