//! Whose fault a database error may be (invariant 7): an error of the environment holds the fold and
//! costs no record; any other may be one record's, which has to be shown before it costs that record.

/// Whose fault an error may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The database's: it is not as it must be, and the next record would meet the same error.
    Environment,
    /// Perhaps one record's, perhaps everybody's, as that of a trigger which always raises.
    Perhaps,
}

/// Classes that no value of a record can cause: connections, transaction states and rollbacks (deadlock,
/// serialization), missing rights and objects, unsupported features, resources, prerequisites, operator
/// intervention, the system, configuration, foreign data, internal errors.
const ENVIRONMENT: [&str; 14] = ["08", "0A", "0B", "25", "28", "2D", "40", "42", "53", "55", "57", "58", "F0", "XX"];

const FOREIGN_DATA: &str = "HV";
const CHECK_VIOLATION: &str = "23514";

/// Judges an error by its SQLSTATE and by whether it names a constraint. A row for which there is no
/// partition violates a check that has no name.
pub fn of(sqlstate: &str, names_constraint: bool) -> Blame {
    let class = sqlstate.get(..2).unwrap_or_default();
    let is_environment =
        class == FOREIGN_DATA || ENVIRONMENT.contains(&class) || (sqlstate == CHECK_VIOLATION && !names_constraint);
    if is_environment { Blame::Environment } else { Blame::Perhaps }
}

/// How many records of a batch of `rows` may be refused: 1 % of it, and 10 of a small one. If there are
/// more it is not the records that are bad.
pub fn most_rejected(rows: usize) -> usize {
    (rows / 100).max(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_triggers_and_limits_may_be_a_records_fault() {
        for sqlstate in ["22003", "22P02", "22021", "23502", "23503", "23505", "23P01", "54000", "P0001", "AB123"] {
            assert_eq!(of(sqlstate, false), Blame::Perhaps, "{sqlstate}");
        }
        assert_eq!(of("23514", true), Blame::Perhaps);
    }

    #[test]
    fn what_the_database_lacks_is_nobodys_fault() {
        let environment = ["40P01", "40001", "55P03", "42501", "42P01", "53100", "53200", "57014", "58030", "XX000"];
        for sqlstate in environment.into_iter().chain(["25006", "HV000", "0A000"]) {
            assert_eq!(of(sqlstate, true), Blame::Environment, "{sqlstate}");
        }
        assert_eq!(of("23514", false), Blame::Environment, "no partition");
    }

    #[test]
    fn a_small_batch_may_lose_ten_and_a_large_one_a_hundredth() {
        assert_eq!([1, 500, 1_000, 1_100, 5_000].map(most_rejected), [10, 10, 10, 11, 50]);
    }
}
