//! Who may be at fault for a database error (invariant 7). An error of the environment holds the fold and costs no
//! record. Any other error may be the fault of one record; the fold must show that before it rejects the record.

/// Who may be at fault for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The database: something in it is wrong, and the next record would meet the same error.
    Environment,
    /// Another session, because it holds a lock.
    Lock,
    /// The whole batch, because it needs more memory than there is.
    Size,
    /// Perhaps one record, perhaps all of them: a trigger may always raise.
    Undecided,
}

/// The SQLSTATE classes that no value of a record can cause: connections, transaction states and rollbacks
/// (serialization), missing rights and objects, unsupported features, resources, prerequisites, operator intervention,
/// the system, configuration, foreign data, internal errors.
const ENVIRONMENT: [&str; 14] = ["08", "0A", "0B", "25", "28", "2D", "40", "42", "53", "55", "57", "58", "F0", "XX"];

const FOREIGN_DATA: &str = "HV";
const LOCK_NOT_AVAILABLE: &str = "55P03";
const DEADLOCK: &str = "40P01";
const OUT_OF_MEMORY: &str = "53200";

/// Who may be at fault for an error with this SQLSTATE.
pub fn of(sqlstate: &str) -> Fault {
    let class = sqlstate.get(..2).unwrap_or_default();
    match sqlstate {
        LOCK_NOT_AVAILABLE | DEADLOCK => Fault::Lock,
        OUT_OF_MEMORY => Fault::Size,
        _ if class == FOREIGN_DATA || ENVIRONMENT.contains(&class) => Fault::Environment,
        _ => Fault::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_triggers_and_limits_may_be_a_records_fault() {
        for sqlstate in
            ["22003", "22P02", "22021", "23502", "23503", "23505", "23514", "23P01", "54000", "P0001", "AB123"]
        {
            assert_eq!(of(sqlstate), Fault::Undecided, "{sqlstate}");
        }
    }

    #[test]
    fn what_the_database_lacks_is_nobodys_fault() {
        for sqlstate in ["40001", "42501", "42P01", "53100", "57014", "58030", "XX000", "25006", "HV000", "0A000"] {
            assert_eq!(of(sqlstate), Fault::Environment, "{sqlstate}");
        }
    }

    #[test]
    fn a_lock_is_another_sessions_and_memory_is_that_of_the_whole_batch() {
        assert_eq!(["55P03", "40P01", "53200"].map(of), [Fault::Lock, Fault::Lock, Fault::Size]);
    }
}
