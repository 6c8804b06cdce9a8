//! Which records of a batch count (invariant 3). A request id counts once; a known id that comes with
//! another `litellm_call_id` is another request of a provider that reuses ids, and counts under
//! `id#litellm_call_id`. Two steps, because only the log table knows the ids of earlier batches.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::record::{self, SpendRecord};

type Text<'a> = Cow<'a, str>;

/// The records of a batch grouped by request id.
#[derive(Debug)]
pub struct Groups<'a> {
    /// In order of the batch.
    groups: Vec<Group<'a>>,
    duplicates: usize,
}

#[derive(Debug)]
struct Group<'a> {
    first: SpendRecord<'a>,
    /// Records with the same id, a call id of their own, and none of them alike.
    reused: Vec<SpendRecord<'a>>,
}

/// What the second step found.
#[derive(Debug)]
pub struct Resolved<'a> {
    /// Records that count, under the id they were first sent with.
    pub counted: Vec<SpendRecord<'a>>,
    /// Records whose id was another request's, under their new id; not logged yet.
    pub renamed: Vec<SpendRecord<'a>>,
    /// How many records repeated another one.
    pub duplicates: usize,
}

impl<'a> Groups<'a> {
    pub fn new(records: impl IntoIterator<Item = SpendRecord<'a>>) -> Self {
        let mut groups: Vec<Group<'a>> = Vec::new();
        let mut by_id: HashMap<Text<'a>, usize> = HashMap::new();
        let mut duplicates = 0;
        for record in records {
            let Some(at) = by_id.get(&record.request_id) else {
                by_id.insert(record.request_id.clone(), groups.len());
                groups.push(Group { first: record, reused: Vec::new() });
                continue;
            };
            let group = &mut groups[*at];
            let known = |other: &SpendRecord| is_same_call(other.litellm_call_id.as_deref(), &record);
            if known(&group.first) || group.reused.iter().any(known) {
                duplicates += 1;
            } else {
                group.reused.push(record);
            }
        }
        Groups { groups, duplicates }
    }

    /// The records to log first: one for each id.
    pub fn candidates(&self) -> impl Iterator<Item = &SpendRecord<'a>> {
        self.groups.iter().map(|group| &group.first)
    }

    /// Decides each record, given the ids that the log table already held, with their call ids.
    pub fn resolve(self, known: &HashMap<String, Option<String>>) -> Resolved<'a> {
        let mut resolved = Resolved { counted: Vec::new(), renamed: Vec::new(), duplicates: self.duplicates };
        for group in self.groups {
            let mut contenders = group.reused;
            let holder = match known.get(group.first.request_id.as_ref()) {
                Some(call_id) => {
                    contenders.insert(0, group.first);
                    call_id.clone()
                }
                None => {
                    let call_id = group.first.litellm_call_id.as_deref().map(str::to_owned);
                    resolved.counted.push(group.first);
                    call_id
                }
            };
            for record in contenders {
                if is_same_call(holder.as_deref(), &record) {
                    resolved.duplicates += 1;
                } else {
                    resolved.renamed.push(under_its_call_id(record));
                }
            }
        }
        resolved
    }
}

/// Whether `record` repeats the request that holds its id: the call ids are equal, or one is unknown.
fn is_same_call(holder: Option<&str>, record: &SpendRecord) -> bool {
    match (holder, record.litellm_call_id.as_deref()) {
        (Some(holder), Some(call_id)) => holder == call_id,
        _ => true,
    }
}

fn under_its_call_id(mut record: SpendRecord) -> SpendRecord {
    let call_id = record.litellm_call_id.as_deref().unwrap_or_default();
    record.request_id = record::fit_id(Cow::Owned(format!("{}#{call_id}", record.request_id)));
    record
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::json::Json;

    fn record(id: u8, call: Option<u8>) -> SpendRecord<'static> {
        let call = call.map_or(String::new(), |call| format!(r#""litellm_call_id":"c{call}","#));
        let text = format!(r#"{{{call}"request_id":"r{id}","spend":1,"startTime":0}}"#);
        SpendRecord::decode(&Json::from_text(&text).unwrap().into_owned()).unwrap()
    }

    /// Folds batches against a log table kept in memory; returns the ids that counted.
    fn fold(batches: Vec<Vec<SpendRecord<'static>>>) -> (Vec<String>, usize) {
        let mut log: HashMap<String, Option<String>> = HashMap::new();
        let (mut counted, mut duplicates) = (Vec::new(), 0);
        for batch in batches {
            let groups = Groups::new(batch);
            let known = groups
                .candidates()
                .filter_map(|r| Some((r.request_id.to_string(), log.get(r.request_id.as_ref())?.clone())));
            let known: HashMap<_, _> = known.collect();
            let resolved = groups.resolve(&known);
            duplicates += resolved.duplicates;
            let renamed = Groups::new(resolved.renamed);
            let known: HashMap<_, _> = renamed
                .candidates()
                .filter_map(|r| Some((r.request_id.to_string(), log.get(r.request_id.as_ref())?.clone())))
                .collect();
            let second = renamed.resolve(&known);
            duplicates += second.duplicates;
            assert!(second.renamed.is_empty());
            for record in resolved.counted.into_iter().chain(second.counted) {
                log.insert(record.request_id.to_string(), record.litellm_call_id.as_deref().map(str::to_owned));
                counted.push(record.request_id.into_owned());
            }
        }
        (counted, duplicates)
    }

    #[test]
    fn a_repeated_request_counts_once_within_a_batch_and_across_batches() {
        let (counted, duplicates) = fold(vec![vec![record(1, Some(1)), record(1, Some(1))], vec![record(1, Some(1))]]);
        assert_eq!((counted, duplicates), (vec!["r1".to_owned()], 2));
    }

    #[test]
    fn a_known_id_with_another_call_id_is_another_request() {
        let (counted, duplicates) = fold(vec![
            vec![record(1, Some(1)), record(1, Some(2))],
            vec![record(1, Some(3)), record(1, Some(2)), record(1, Some(1))],
        ]);
        assert_eq!((counted, duplicates), (vec!["r1".into(), "r1#c2".into(), "r1#c3".into()], 2));
    }

    #[test]
    fn without_a_call_id_a_known_id_is_a_duplicate() {
        let (counted, duplicates) = fold(vec![vec![record(1, Some(1))], vec![record(1, None)]]);
        assert_eq!((counted.len(), duplicates), (1, 1));
    }

    proptest! {
        #[test]
        fn each_call_counts_once_for_any_split_and_order(
            calls in proptest::collection::vec((0u8..4, 0u8..4), 1..40),
            cuts in proptest::collection::vec(any::<bool>(), 40),
        ) {
            let mut batches = vec![Vec::new()];
            for ((id, call), cut) in calls.iter().zip(&cuts) {
                batches.last_mut().unwrap().push(record(*id, Some(*call)));
                if *cut {
                    batches.push(Vec::new());
                }
            }
            let (counted, duplicates) = fold(batches);
            let distinct: BTreeSet<_> = calls.iter().collect();
            prop_assert_eq!(counted.len(), distinct.len());
            prop_assert_eq!(counted.iter().collect::<BTreeSet<_>>().len(), distinct.len());
            prop_assert_eq!(duplicates, calls.len() - distinct.len());
        }
    }
}
