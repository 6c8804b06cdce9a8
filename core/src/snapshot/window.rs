//! Where a fold reads: the spans of transaction ids between two snapshots, without the rows that a position says are
//! consumed. Each span is one index range. A batch therefore never scans consumed rows again, however long a
//! transaction ran or however many rows it staged (invariant 4).

use super::Snapshot;

/// The last row that was consumed: its transaction and its number within the transaction.
pub type Position = (u64, i32);

/// A part of a window. It is read in ascending order of transaction and row number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// Rows beyond row `after` of the transaction `xid`, which ended after the earlier snapshot.
    Transaction { xid: u64, after: i32 },
    /// Rows beyond the position `after` of all transactions below `below`, except the transactions in `except`.
    Range { after: Position, below: u64, except: Vec<u64> },
}

const BEFORE_FIRST_ROW: i32 = -1;

/// The rest of the window between `previous` and `current` after `position`, in reading order.
pub fn spans(previous: &Snapshot, current: &Snapshot, position: Option<Position>) -> Vec<Span> {
    let mut spans = Vec::new();
    for xid in previous.in_progress().iter().copied().filter(|xid| current.sees(*xid)) {
        match position {
            Some((consumed, _)) if consumed > xid => {}
            Some((consumed, row)) if consumed == xid => spans.push(Span::Transaction { xid, after: row }),
            _ => spans.push(Span::Transaction { xid, after: BEFORE_FIRST_ROW }),
        }
    }
    let first = (previous.xmax(), BEFORE_FIRST_ROW);
    let after = position.map_or(first, |position| position.max(first));
    if after.0 < current.xmax() {
        spans.push(Span::Range { after, below: current.xmax(), except: current.in_progress().to_vec() });
    }
    spans
}

/// All rows that are not consumed: the rest of the window that a fold has open, and the rows that the last snapshot
/// does not see, whether or not their transactions have ended by now. It never holds a consumed row, in whatever order
/// transactions have ended.
pub fn unconsumed(through: &Snapshot, window: Option<&Snapshot>, position: Option<Position>) -> Vec<Span> {
    let mut left = window.map_or_else(Vec::new, |window| spans(through, window, position));
    let last = window.unwrap_or(through);
    left.extend(last.in_progress().iter().map(|xid| Span::Transaction { xid: *xid, after: BEFORE_FIRST_ROW }));
    left.push(Span::Range { after: (last.xmax(), BEFORE_FIRST_ROW), below: u64::MAX, except: Vec::new() });
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(span: &Span, xid: u64, row: i32) -> bool {
        match span {
            Span::Transaction { xid: own, after } => xid == *own && row > *after,
            Span::Range { after, below, except } => (xid, row) > *after && xid < *below && !except.contains(&xid),
        }
    }

    fn snapshot() -> impl Strategy<Value = (u64, Vec<bool>)> {
        (1u64..12, proptest::collection::vec(any::<bool>(), 12))
    }

    fn build((xmax, running): &(u64, Vec<bool>), still: &dyn Fn(u64) -> bool) -> Snapshot {
        let list: Vec<String> =
            (1..*xmax).filter(|xid| running[*xid as usize] && still(*xid)).map(|xid| xid.to_string()).collect();
        let xmin = list.first().cloned().unwrap_or_else(|| xmax.to_string());
        format!("{xmin}:{xmax}:{}", list.join(",")).parse().unwrap()
    }

    proptest! {
        #[test]
        fn spans_hold_just_the_window_beyond_the_position(
            earlier in snapshot(), later in snapshot(), at in proptest::option::of((1u64..12, 0i32..3)),
        ) {
            let previous = build(&earlier, &|_| true);
            // A later snapshot has no smaller upper end, and what the earlier one saw stays seen.
            let later = (later.0.max(earlier.0), later.1);
            let current = build(&later, &|xid| !previous.sees(xid));
            let rows: Vec<Position> = (1..12)
                .filter(|xid| current.sees(*xid) && !previous.sees(*xid))
                .flat_map(|xid| (0..3).map(move |row| (xid, row)))
                .collect();
            let position = at.filter(|at| rows.contains(at));
            let spans = spans(&previous, &current, position);
            for xid in 1..14 {
                for row in 0..3 {
                    let expected = rows.contains(&(xid, row)) && position.is_none_or(|at| (xid, row) > at);
                    let found = spans.iter().filter(|span| holds(span, xid, row)).count();
                    prop_assert_eq!(found, usize::from(expected), "xid {} row {}", xid, row);
                }
            }
            for window in [None, Some(&current)] {
                let position = position.filter(|_| window.is_some());
                let left = unconsumed(&previous, window, position);
                for xid in 1..14 {
                    for row in 0..3 {
                        let is_read = window.is_some_and(|window| window.sees(xid))
                            && position.is_some_and(|at| (xid, row) <= at);
                        let expected = !previous.sees(xid) && !is_read;
                        let found = left.iter().filter(|span| holds(span, xid, row)).count();
                        prop_assert_eq!(found, usize::from(expected), "xid {} row {} of {:?}", xid, row, window);
                    }
                }
            }
        }
    }
}
