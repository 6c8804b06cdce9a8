use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::json::Json;
use crate::ledger::{call_hash, request_hash};
use crate::moment::Moment;

fn request(id: &str, call: Option<&str>, start: f64) -> SpendRecord<'static> {
    let call = call.map_or(String::new(), |call| format!(r#""litellm_call_id":"{call}","#));
    let text = format!(r#"{{{call}"request_id":"{id}","spend":1,"startTime":{start}}}"#);
    SpendRecord::decode(&Json::from_text(&text).unwrap().into_owned()).unwrap()
}

fn record(id: u8, call: Option<u8>) -> SpendRecord<'static> {
    request(&format!("r{id}"), call.map(|call| format!("c{call}")).as_deref(), 0.0)
}

/// A request that is named by its call id.
fn unnamed(call: &str, start: f64) -> SpendRecord<'static> {
    request(call, Some(call), start)
}

/// What a fold remembers with: ids, call ids and starts (the log table), or hashes (the ledger).
#[derive(Default)]
struct Memory {
    log: HashMap<String, (Option<String>, Moment)>,
    ledger: HashMap<[u8; 16], Option<i64>>,
}

impl Memory {
    fn find(&self, groups: &Groups) -> Known {
        let mut known = Known::default();
        for id in groups.candidates().map(|record| record.request_id.as_ref()) {
            if let Some((call, start)) = self.log.get(id) {
                known.add_logged(id, call.clone().map(|call| Holder::of(id, Cow::Owned(call), *start)));
            }
            if let Some(holder) = self.ledger.get(&request_hash(id)) {
                known.add(id, *holder);
            }
        }
        known
    }

    fn remember(&mut self, records: &[SpendRecord], uses: Uses) {
        for record in records {
            if uses.log {
                let call = record.litellm_call_id.as_deref().map(str::to_owned);
                self.log.insert(record.request_id.to_string(), (call, record.timing.start.rounded_to_millis()));
            }
            if uses.ledger {
                self.ledger.insert(request_hash(&record.request_id), record.holder().map(|holder| holder.hash()));
            }
        }
    }
}

/// Which memories a batch is written to; both are always read.
#[derive(Debug, Clone, Copy)]
struct Uses {
    log: bool,
    ledger: bool,
}

fn uses() -> impl Strategy<Value = Uses> {
    prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))]
        .prop_map(|(log, ledger)| Uses { log, ledger })
}

/// Folds batches, each into the memories that it uses; returns the ids that counted.
fn fold_into(batches: Vec<(Vec<SpendRecord<'static>>, Uses)>) -> (Vec<String>, usize) {
    let mut memory = Memory::default();
    let (mut counted, mut duplicates) = (Vec::new(), 0);
    for (batch, uses) in batches {
        let groups = Groups::new(batch);
        let known = memory.find(&groups);
        let first = groups.resolve(&known);
        memory.remember(&first.counted, uses);
        let renamed = Groups::new(first.renamed);
        let known = memory.find(&renamed);
        let second = renamed.resolve(&known);
        memory.remember(&second.counted, uses);
        assert!(second.renamed.is_empty());
        duplicates += first.duplicates + second.duplicates;
        let ids = first.counted.into_iter().chain(second.counted).map(|record| record.request_id.into_owned());
        counted.extend(ids);
    }
    (counted, duplicates)
}

fn fold(batches: Vec<Vec<SpendRecord<'static>>>) -> (Vec<String>, usize) {
    let uses = Uses { log: true, ledger: false };
    fold_into(batches.into_iter().map(|batch| (batch, uses)).collect())
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
    for calls in [[Some(1), None], [None, Some(1)], [None, None]] {
        let (counted, duplicates) = fold(calls.map(|call| vec![record(1, call)]).into());
        assert_eq!((counted.len(), duplicates), (1, 1), "{calls:?}");
    }
}

#[test]
fn a_call_that_only_one_of_two_memories_knows_is_a_duplicate() {
    let mut known = Known::default();
    known.add("r1", Some(call_hash("c1")));
    known.add("r1", Some(call_hash("c2")));
    known.add("r1", None);
    let of = |call| Groups::new([record(1, call)]).resolve(&known);
    assert_eq!((of(Some(1)).duplicates, of(Some(2)).duplicates, of(None).duplicates), (1, 1, 1));
    assert_eq!(of(Some(3)).renamed[0].request_id, "r1#c3");
}

#[test]
fn requests_under_one_call_id_count_each_and_a_repetition_of_each_is_a_duplicate() {
    let (first, second, third) = (|| unnamed("c", 1.0), || unnamed("c", 2.0), || unnamed("c", 3.0));
    let (counted, duplicates) =
        fold(vec![vec![first(), second(), first()], vec![third(), second(), first()], vec![third()]]);
    assert_eq!((counted, duplicates), (vec!["c".into(), "c#2000".into(), "c#3000".into()], 4));
}

#[test]
fn what_was_remembered_by_its_call_id_alone_is_a_duplicate_whenever_it_started() {
    let mut known = Known::default();
    known.add("c", Some(call_hash("c")));
    assert_eq!(Groups::new([unnamed("c", 1.0), unnamed("c", 2.0)]).resolve(&known).duplicates, 2);
}

#[test]
fn a_row_of_the_proxy_has_its_start_cut_and_a_row_of_a_fold_has_it_rounded() {
    let logged_at = |micros| {
        let mut known = Known::default();
        known.add_logged("c", Some(Holder::of("c", Cow::Borrowed("c"), Moment::from_micros(micros).unwrap())));
        Groups::new([unnamed("c", 1_773_500_966.535_897)]).resolve(&known).duplicates
    };
    let ends = [534_000, 535_000, 536_000, 537_000];
    assert_eq!(ends.map(|end| logged_at(1_773_500_966_000_000 + end)), [0, 1, 1, 0]);
}

#[test]
fn a_row_without_a_call_id_holds_its_id_for_every_start() {
    let mut known = Known::default();
    known.add_logged("c", None);
    assert_eq!(Groups::new([unnamed("c", 1.0), unnamed("c", 2.0)]).resolve(&known).duplicates, 2);
}

const IDS: [&str; 5] = ["r0", "r1", "c0", "c1", "c0_background_cost"];
const CALLS: [&str; 4] = ["c0", "c1", "c2", "c0_background_cost"];

proptest! {
    #[test]
    fn each_call_counts_once_for_any_split_order_and_memory(
        calls in proptest::collection::vec((0..IDS.len(), 0..CALLS.len(), 0u8..3), 1..40),
        cuts in proptest::collection::vec(any::<bool>(), 40),
        uses in proptest::collection::vec(uses(), 41),
    ) {
        let calls: Vec<_> = calls.into_iter().map(|(id, call, start)| (IDS[id], CALLS[call], start)).collect();
        let mut batches = vec![Vec::new()];
        for ((id, call, start), cut) in calls.iter().zip(&cuts) {
            batches.last_mut().unwrap().push(request(id, Some(call), f64::from(*start) / 1000.0));
            if *cut {
                batches.push(Vec::new());
            }
        }
        let (counted, duplicates) = fold_into(batches.into_iter().zip(uses).collect());
        let is_told_by_start = |id: &str, call: &str| id == call && id != "c0_background_cost";
        let distinct: BTreeSet<_> =
            calls.iter().map(|(id, call, start)| (id, call, is_told_by_start(id, call).then_some(start))).collect();
        prop_assert_eq!(counted.len(), distinct.len());
        prop_assert_eq!(counted.iter().collect::<BTreeSet<_>>().len(), distinct.len());
        prop_assert_eq!(duplicates, calls.len() - distinct.len());
    }
}

fn batch_cost(call: u8, spend: f64) -> SpendRecord<'static> {
    let text = format!(
        r#"{{"request_id":"b_batch_cost","litellm_call_id":"c{call}","call_type":"aretrieve_batch",
            "spend":{spend},"startTime":0}}"#
    );
    SpendRecord::decode(&Json::from_text(&text).unwrap().into_owned()).unwrap()
}

/// The ids under which these records count, and how many repeat another one.
fn decided(records: Vec<SpendRecord>, known: &Known) -> (Vec<String>, usize) {
    let resolved = Groups::new(records).resolve(known);
    let ids = resolved.counted.iter().chain(&resolved.renamed).map(|record| record.request_id.to_string()).collect();
    (ids, resolved.duplicates)
}

#[test]
fn a_batch_costs_once_whichever_call_retrieves_it() {
    let both = || vec![batch_cost(1, 0.5), batch_cost(2, 0.5)];
    assert_eq!(decided(both(), &Known::default()), (vec!["b_batch_cost".to_owned()], 1));
    let mut logged = Known::default();
    logged.add("b_batch_cost", Some(call_hash("c0")));
    logged.add_charged_work("b_batch_cost");
    assert_eq!(decided(both(), &logged), (vec![], 2));
    let mut in_ledger = Known::default();
    in_ledger.add("b_batch_cost", batch_cost(1, 0.5).holder().map(|holder| holder.hash()));
    assert_eq!(decided(both(), &in_ledger), (vec![], 2));
}

#[test]
fn a_batch_whose_row_charged_nothing_is_charged_once_beside_it() {
    let mut polled = Known::default();
    polled.add("b_batch_cost", Some(call_hash("c0")));
    assert_eq!(decided(vec![batch_cost(1, 0.0)], &polled), (vec![], 1), "there is nothing to charge");
    let beside = "b_batch_cost#b_batch_cost";
    assert_eq!(decided(vec![batch_cost(1, 0.5)], &polled), (vec![beside.to_owned()], 0));
    assert_eq!(decided(vec![batch_cost(2, 0.5)], &polled), (vec![beside.to_owned()], 0), "the same id again");
}

#[test]
fn a_poll_that_costs_nothing_keeps_no_cost_from_being_counted() {
    let polls = |costs: &[f64]| (1..).zip(costs).map(|(call, cost)| batch_cost(call, *cost)).collect();
    let once = vec!["b_batch_cost".to_owned()];
    assert_eq!(decided(polls(&[0.0, 0.5, 0.0]), &Known::default()), (once.clone(), 2));
    assert_eq!(decided(polls(&[0.5, 0.0, 0.5]), &Known::default()), (once, 2));
    assert_eq!(decided(polls(&[0.0]), &Known::default()), (vec![], 1), "nothing is remembered of it");
}

fn background_cost(id: &str, call: &str, call_type: &str) -> SpendRecord<'static> {
    let text = format!(
        r#"{{"request_id":"{id}","litellm_call_id":"{call}","call_type":"{call_type}","spend":1,"startTime":0}}"#
    );
    SpendRecord::decode(&Json::from_text(&text).unwrap().into_owned()).unwrap()
}

#[test]
fn work_in_the_background_costs_once_whichever_call_tells_of_it() {
    for (id, call_type) in
        [("r_background_cost", "aget_responses"), ("r_background_cost", "aresponses"), ("v_video_cost", "video_status")]
    {
        let both = || vec![background_cost(id, "c1", call_type), background_cost(id, id, call_type)];
        assert_eq!(decided(both(), &Known::default()), (vec![id.to_owned()], 1), "{call_type}");
        let mut logged_by_a_proxy = Known::default();
        logged_by_a_proxy.add(id, Some(call_hash("c0")));
        logged_by_a_proxy.add_charged_work(id);
        assert_eq!(decided(both(), &logged_by_a_proxy), (vec![], 2), "{call_type}");
    }
    let others =
        vec![background_cost("r_background_cost", "c1", "acompletion"), background_cost("r", "c1", "aresponses")];
    let again =
        vec![background_cost("r_background_cost", "c2", "acompletion"), background_cost("r", "c2", "aresponses")];
    let (counted, duplicates) = decided([others, again].concat(), &Known::default());
    assert_eq!((counted.len(), duplicates), (4, 0), "an id that a caller or a provider chose is no such cost");
}
