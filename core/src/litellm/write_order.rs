//! The order in which a fold locks and writes LiteLLM's tables. It is the order of the LiteLLM that runs beside the
//! fold (invariant 8). The log comes first, because LiteLLM logs a request before it charges it. The places of the tool
//! tables, the request errors and the gateway's requests are free, because LiteLLM writes each of these in a
//! transaction that writes nothing else.

use super::tables::{Place, Role};

/// The version of LiteLLM whose order a fold follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOrder {
    /// LiteLLM up to 1.109, which writes entities and daily rows from queues in memory.
    Before110,
    /// LiteLLM since 1.110, whose projector charges all tables in one transaction (accounting/application.py,
    /// db_spend_update_writer.py).
    Since110,
}

impl WriteOrder {
    /// The tables to which a fold adds spend, in this order.
    pub fn targets(self) -> impl Iterator<Item = Role> {
        let mut places: Vec<(u16, Role)> =
            Role::all().filter_map(|role| Some((self.of(role.place()?), role))).collect();
        places.sort_unstable_by_key(|(place, _)| *place);
        places.into_iter().map(|(_, role)| role)
    }

    fn of(self, place: Place) -> u16 {
        match self {
            WriteOrder::Before110 => place.before_110,
            WriteOrder::Since110 => place.since_110,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_tables_have_the_same_place() {
        for order in [WriteOrder::Before110, WriteOrder::Since110] {
            let places: BTreeSet<u16> = Role::all().filter_map(Role::place).map(|place| order.of(place)).collect();
            assert_eq!(places.len(), order.targets().count(), "{order:?}");
        }
    }

    #[test]
    fn all_roles_stand_in_the_order_before_110() {
        let targets: Vec<Role> = Role::all().filter(|role| role.is_target()).collect();
        assert_eq!(targets, WriteOrder::Before110.targets().collect::<Vec<_>>());
    }

    #[test]
    fn litellm_since_110_writes_daily_tables_in_the_order_of_their_names() {
        let is_daily = |role: &Role| matches!(role, Role::Daily(_));
        let names: Vec<&str> = WriteOrder::Since110.targets().filter(is_daily).map(Role::table).collect();
        assert!(names.is_sorted(), "{names:?}");
    }
}
