//! A PostgreSQL snapshot (`pg_snapshot`, "xmin:xmax:xip,…"). The window between two snapshots is the set of
//! transactions that the later one sees and the earlier one did not. Windows that follow each other hold every
//! committed transaction exactly once, in whatever order the transactions commit (invariant 4).

use std::fmt;
use std::str::FromStr;

pub mod window;

/// The transactions that had ended at some moment: all below `xmax`, except those in `in_progress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    xmin: u64,
    xmax: u64,
    in_progress: Vec<u64>,
}

/// The error for a text that is not a `pg_snapshot`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a pg_snapshot")]
pub struct NotASnapshot;

impl Snapshot {
    /// The snapshot before every transaction.
    pub fn empty() -> Self {
        Snapshot { xmin: 1, xmax: 1, in_progress: Vec::new() }
    }

    /// Whether the transaction `xid` had ended.
    pub fn sees(&self, xid: u64) -> bool {
        xid < self.xmin || (xid < self.xmax && self.in_progress.binary_search(&xid).is_err())
    }

    /// This snapshot, with `xid` added to the transactions in progress. A transaction's own snapshot does not list its
    /// own id. A fold adds it, so that rows that a trigger stages within the fold stay unread.
    #[must_use]
    pub fn with_in_progress(mut self, xid: u64) -> Self {
        if xid < self.xmax
            && let Err(at) = self.in_progress.binary_search(&xid)
        {
            self.in_progress.insert(at, xid);
            self.xmin = self.xmin.min(xid);
        }
        self
    }

    /// The lowest transaction id that may not have ended: every transaction below it had ended.
    pub fn xmin(&self) -> u64 {
        self.xmin
    }

    /// The first transaction id that had not been given out.
    pub fn xmax(&self) -> u64 {
        self.xmax
    }

    /// The ids below `xmax` that were still running, in ascending order.
    pub fn in_progress(&self) -> &[u64] {
        &self.in_progress
    }
}

impl FromStr for Snapshot {
    type Err = NotASnapshot;

    fn from_str(text: &str) -> Result<Self, NotASnapshot> {
        let mut parts = text.split(':');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or(NotASnapshot);
        let (xmin, xmax) = (number()?, number()?);
        let list = parts.next().ok_or(NotASnapshot)?;
        let in_progress = list
            .split(',')
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().map_err(|_| NotASnapshot))
            .collect::<Result<Vec<u64>, _>>()?;
        let ordered = xmin <= xmax && in_progress.is_sorted_by(|a, b| a < b);
        if ordered && parts.next().is_none() { Ok(Snapshot { xmin, xmax, in_progress }) } else { Err(NotASnapshot) }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (index, xid) in self.in_progress.iter().enumerate() {
            write!(f, "{}{xid}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_survives_a_round_trip() {
        for text in ["1:1:", "10:20:10,14,15", "795:799:795"] {
            assert_eq!(text.parse::<Snapshot>().unwrap().to_string(), text);
        }
        for text in ["", "1", "1:2", "2:1:", "1:2:x", "1:9:5,4", "1:2::"] {
            assert_eq!(text.parse::<Snapshot>(), Err(NotASnapshot), "{text}");
        }
    }

    #[test]
    fn the_readers_own_transaction_is_not_seen() {
        let snapshot: Snapshot = "10:20:10,14".parse().unwrap();
        assert!(snapshot.sees(12));
        let snapshot = snapshot.with_in_progress(12);
        assert!(!snapshot.sees(12));
        assert_eq!(snapshot.to_string(), "10:20:10,12,14");
        assert_eq!(snapshot.clone().with_in_progress(25), snapshot);
        assert!(!"7:7:".parse::<Snapshot>().unwrap().with_in_progress(7).sees(7));
    }

    proptest! {
        /// Transactions begin in order and end in any order; a window is taken after each step.
        #[test]
        fn consecutive_windows_hold_each_ended_transaction_once(ends in proptest::collection::vec(0usize..8, 1..60)) {
            let (mut running, mut next, mut previous) = (Vec::new(), 1u64, Snapshot::empty());
            let mut counted = std::collections::BTreeMap::<u64, u32>::new();
            let mut ended = Vec::new();
            for end in ends {
                running.push(next);
                next += 1;
                if end < running.len() {
                    ended.push(running.remove(end));
                }
                let xmin = running.first().copied().unwrap_or(next);
                let current = Snapshot { xmin, xmax: next, in_progress: running.clone() };
                for xid in 1..next {
                    if current.sees(xid) && !previous.sees(xid) {
                        *counted.entry(xid).or_default() += 1;
                    }
                }
                previous = current;
            }
            ended.sort_unstable();
            prop_assert_eq!(counted.into_iter().collect::<Vec<_>>(), ended.into_iter().map(|xid| (xid, 1)).collect::<Vec<_>>());
        }
    }
}
