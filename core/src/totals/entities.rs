//! The spend that a fold adds to each entity: the rows of LiteLLM's tables with a running `spend`.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::columns::Column;
use super::named::Named;
use super::names::{Name, Names};
use super::sum::Sum;
use crate::litellm::tables::EntityKind;
use crate::record::SpendRecord;

/// The beginning of the tags that LiteLLM's proxy adds for the client's user agent, with and without its version.
const USER_AGENT_TAG: &str = "User-Agent: ";

/// Whether a fold may create a missing row of this id. It creates none for the tags of user agents, because nobody
/// manages them.
pub fn is_created(kind: EntityKind, (id, _): &EntityId) -> bool {
    kind != EntityKind::Tag || !id.starts_with(USER_AGENT_TAG)
}

/// The key of an entity's row: one id, or the ids of the group and the user for a membership. The second is `""` if the
/// table has one key column.
pub type EntityId<'n> = (&'n str, &'n str);

/// Spend in US dollars by id, in byte order (`COLLATE "C"`). Rows are locked in that order.
pub type EntitySpend<'n> = BTreeMap<EntityId<'n>, Sum>;

/// What a fold adds to the entities of each kind.
#[derive(Debug, Default)]
pub struct EntityTotals {
    by_kind: [HashMap<(Name, Name), Sum>; EntityKind::ALL.len()],
}

impl EntityTotals {
    /// Adds a record to each entity that it names. A record that costs nothing still touches the rows of its entities.
    pub fn add(&mut self, names: &mut Names, named: &Named, record: &SpendRecord) {
        let spend = record.usage.spend;
        self.charge(EntityKind::User, named.user, spend);
        self.charge(EntityKind::User, named.proxy_budget, spend);
        self.charge(EntityKind::EndUser, named.end_user, spend);
        self.charge(EntityKind::Key, named.charged_key, spend);
        self.charge(EntityKind::Team, named.team, spend);
        self.charge_member(EntityKind::TeamMember, named.team, named.user, spend);
        self.charge(EntityKind::Organization, named.organization, spend);
        self.charge_member(EntityKind::OrganizationMember, named.organization, named.user, spend);
        self.charge(EntityKind::Project, named.project, spend);
        for tag in &record.identity.tags {
            self.charge(EntityKind::Tag, names.intern(tag), spend);
        }
        for group in &record.identity.model_access_groups {
            self.charge(EntityKind::ModelAccessGroup, names.intern(group), spend);
        }
        self.charge(EntityKind::Agent, named.agent, spend);
    }

    /// The spend of each entity of one kind, in the order of the ids.
    pub fn of<'n>(&self, kind: EntityKind, names: &'n Names) -> EntitySpend<'n> {
        let spend = self.by_kind[kind as usize].iter();
        spend.map(|((id, member), sum)| ((names.text(*id), names.text(*member)), *sum)).collect()
    }

    /// How many rows of entities the sums change.
    pub fn len(&self) -> usize {
        self.by_kind.iter().map(HashMap::len).sum()
    }

    /// Whether the sums change no row.
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

/// What a fold has for the key columns and the spend of one kind of entity.
pub fn columns<'n>(kind: EntityKind, spend: &EntitySpend<'n>) -> Vec<Column<'n>> {
    let ids = spend.keys().map(|(id, _)| *id).collect::<Vec<_>>();
    let members = spend.keys().map(|(_, member)| *member).collect::<Vec<_>>();
    let keys = kind.key_columns().iter().zip([ids, members]).map(|(name, values)| Column::text(name, values));
    keys.chain([Column::dollars("spend", spend.values().map(|sum| sum.value()))]).collect()
}
