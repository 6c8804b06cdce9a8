//! The entities that carry a running `spend`, in the order in which LiteLLM locks their tables
//! (db_spend_update_writer.py), and the spend that a batch adds to each.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::record::SpendRecord;
use crate::sum::Sum;

/// A kind of entity; the order is LiteLLM's table order (invariant 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntityKind {
    User,
    EndUser,
    Key,
    Team,
    Organization,
    Tag,
}

impl EntityKind {
    pub const ALL: [EntityKind; 6] = [
        EntityKind::User,
        EntityKind::EndUser,
        EntityKind::Key,
        EntityKind::Team,
        EntityKind::Organization,
        EntityKind::Tag,
    ];

    /// LiteLLM's table.
    pub fn table(self) -> &'static str {
        match self {
            EntityKind::User => "LiteLLM_UserTable",
            EntityKind::EndUser => "LiteLLM_EndUserTable",
            EntityKind::Key => "LiteLLM_VerificationToken",
            EntityKind::Team => "LiteLLM_TeamTable",
            EntityKind::Organization => "LiteLLM_OrganizationTable",
            EntityKind::Tag => "LiteLLM_TagTable",
        }
    }

    /// The table's key column.
    pub fn id_column(self) -> &'static str {
        match self {
            EntityKind::User | EntityKind::EndUser => "user_id",
            EntityKind::Key => "token",
            EntityKind::Team => "team_id",
            EntityKind::Organization => "organization_id",
            EntityKind::Tag => "tag_name",
        }
    }

    /// The name in `litellm_spend.create_missing`.
    pub fn name(self) -> &'static str {
        match self {
            EntityKind::User => "user",
            EntityKind::EndUser => "end_user",
            EntityKind::Key => "key",
            EntityKind::Team => "team",
            EntityKind::Organization => "organization",
            EntityKind::Tag => "tag",
        }
    }
}

/// Spend in US dollars by id, in byte order (`COLLATE "C"`), the order in which rows are locked.
pub type EntitySpend<'a> = BTreeMap<Cow<'a, str>, Sum>;

/// What a batch adds to the entities of each kind.
#[derive(Debug, Default)]
pub struct EntityTotals<'a> {
    by_kind: [EntitySpend<'a>; EntityKind::ALL.len()],
}

impl<'a> EntityTotals<'a> {
    /// Adds a record to each entity that it names; a record that costs nothing still touches them.
    pub fn add(&mut self, record: &SpendRecord<'a>) {
        self.charge(EntityKind::User, record.user.clone(), record.spend);
        self.charge(EntityKind::EndUser, record.end_user.clone(), record.spend);
        self.charge(EntityKind::Key, record.api_key.clone(), record.spend);
        self.charge(EntityKind::Team, record.team_id.clone(), record.spend);
        self.charge(EntityKind::Organization, record.organization_id.clone(), record.spend);
        for tag in record.tags() {
            self.charge(EntityKind::Tag, tag, record.spend);
        }
    }

    pub fn of(&self, kind: EntityKind) -> &EntitySpend<'a> {
        &self.by_kind[kind as usize]
    }

    fn charge(&mut self, kind: EntityKind, id: Cow<'a, str>, spend: f64) {
        if !id.is_empty() {
            self.by_kind[kind as usize].entry(id).or_default().add(spend);
        }
    }
}
