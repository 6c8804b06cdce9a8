//! The order in which a fold locks and writes LiteLLM's tables. It is the order of the LiteLLM that runs beside the
//! fold (invariant 8). The log comes first, because LiteLLM logs a request before it charges it. The places of the tool
//! tables, the request errors and the gateway's requests are free, because LiteLLM writes each of these in a
//! transaction that writes nothing else.

use super::tables::{Place, Role};

/// The version of LiteLLM whose order a fold follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOrder {
    /// LiteLLM up to 1.109, which writes entities and daily rows from queues in memory.
    Queues,
    /// LiteLLM since 1.110, whose projector charges all tables in one transaction (accounting/application.py,
    /// db_spend_update_writer.py).
    Ledger,
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
            WriteOrder::Queues => place.queues,
            WriteOrder::Ledger => place.ledger,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_tables_have_the_same_place() {
        for order in [WriteOrder::Queues, WriteOrder::Ledger] {
            let places: BTreeSet<u16> = Role::all().filter_map(Role::place).map(|place| order.of(place)).collect();
            assert_eq!(places.len(), order.targets().count(), "{order:?}");
        }
    }

    #[test]
    fn all_roles_stand_in_the_order_of_the_queues() {
        let targets: Vec<Role> = Role::all().filter(|role| role.is_target()).collect();
        assert_eq!(targets, WriteOrder::Queues.targets().collect::<Vec<_>>());
    }

    #[test]
    fn the_ledger_writes_daily_tables_in_the_order_of_their_names() {
        let is_daily = |role: &Role| matches!(role, Role::Daily(_));
        let names: Vec<&str> = WriteOrder::Ledger.targets().filter(is_daily).map(Role::table).collect();
        assert!(names.is_sorted(), "{names:?}");
    }
}
