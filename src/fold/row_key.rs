//! The names of what a fold locks of LiteLLM: rows that exist or would be created, and locks of teams.

use litellm_spend_core::litellm::tables::{EntityKind, Role};
use litellm_spend_core::totals::budget_windows;

/// A row of a target, a row that a fold would create, or LiteLLM's lock of a team.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub role: Role,
    /// The values of the key's columns, as text.
    pub parts: Vec<String>,
}

impl Key {
    /// The lock of a team, which a fold takes to create rows of its members.
    pub fn of_team(team: &str) -> Self {
        Key { role: Role::Entity(EntityKind::TeamMember), parts: vec![team.to_owned()] }
    }

    /// A delivery of LiteLLM's ledger that the budget windows of this key or team need.
    pub fn of_delivery(delivery: String, holder: EntityKind, id: String) -> Self {
        Key { role: Role::Deliveries, parts: vec![delivery, budget_windows::entity_type(holder).to_owned(), id] }
    }

    /// Whether this names a row that the budget windows of the key or team `id` need.
    pub fn is_of_windows_of(&self, holder: EntityKind, id: &str) -> bool {
        let of = match (self.role, self.parts.as_slice()) {
            (Role::WindowSpend, [kind, id, _]) | (Role::Deliveries, [_, kind, id]) => (kind, id),
            _ => return false,
        };
        of.0 == budget_windows::entity_type(holder) && of.1 == id
    }

    /// The team, if this names the lock of a team.
    pub fn team(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [team] if self.role == Role::Entity(EntityKind::TeamMember) => Some(team),
            _ => None,
        }
    }
}
