//! Which records of a batch count (invariant 3). A request id counts once; a known id that comes with
//! another `litellm_call_id` is another request of a provider that reuses ids, and counts under
//! `id#litellm_call_id`. Two steps, because only a memory outside (the log table, the ledger) knows the
//! ids of earlier batches.

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};

use crate::ledger::call_hash;
use crate::record::{self, SpendRecord};

type Text<'a> = Cow<'a, str>;

/// Request ids that are remembered.
#[derive(Debug, Default)]
pub struct Known(HashMap<String, Holders>);

/// Who holds an id.
#[derive(Debug, Default, Clone)]
struct Holders {
    /// Hashes of call ids: none if it is not known whose the id is, several if memories differ.
    calls: Vec<i64>,
    /// Whether the cost of work in the background was charged under it.
    is_charged_work: bool,
}

impl Known {
    /// Notes that an id is remembered, and the hash of the call id that holds it.
    pub fn add(&mut self, request_id: &str, call: Option<i64>) {
        self.0.entry(request_id.to_owned()).or_default().calls.extend(call);
    }

    /// Notes that the cost of work in the background was charged under this id.
    pub fn add_charged_work(&mut self, request_id: &str) {
        self.0.entry(request_id.to_owned()).or_default().is_charged_work = true;
    }

    pub fn holds(&self, request_id: &str) -> bool {
        self.0.contains_key(request_id)
    }
}

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
    /// The call ids of all of them.
    calls: HashSet<Text<'a>>,
}

/// What the second step found.
#[derive(Debug)]
pub struct Resolved<'a> {
    /// Records that count, under the id they were first sent with.
    pub counted: Vec<SpendRecord<'a>>,
    /// Records whose id was another request's, under their new id; not looked up yet.
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
                groups.push(Group::new(record));
                continue;
            };
            if !groups[*at].takes(record) {
                duplicates += 1;
            }
        }
        Groups { groups, duplicates }
    }

    /// The records to look up: one for each id.
    pub fn candidates(&self) -> impl Iterator<Item = &SpendRecord<'a>> {
        self.groups.iter().map(|group| &group.first)
    }

    /// Decides each record, given what is remembered of the candidates' ids. A candidate whose id is not
    /// remembered counts.
    pub fn resolve(self, known: &Known) -> Resolved<'a> {
        let mut resolved = Resolved { counted: Vec::new(), renamed: Vec::new(), duplicates: self.duplicates };
        for group in self.groups {
            let mut contenders = group.reused;
            let holders = match known.0.get(group.first.request_id.as_ref()) {
                Some(holders) => {
                    contenders.insert(0, group.first);
                    holders.clone()
                }
                None => {
                    let calls = group.first.holder().map(|holder| call_hash(holder)).into_iter().collect();
                    resolved.counted.push(group.first);
                    Holders { calls, is_charged_work: false }
                }
            };
            for record in contenders {
                if holders.include(&record) {
                    resolved.duplicates += 1;
                } else {
                    resolved.renamed.push(under_its_call_id(record));
                }
            }
        }
        resolved
    }
}

impl Holders {
    /// Whether `record` repeats a request that holds its id: a call id is equal, or one side is unknown.
    /// Work in the background was charged, or there is nothing to charge (LiteLLM's `_claim_settle_once_cost_row`).
    fn include(&self, record: &SpendRecord) -> bool {
        if record.is_cost_of_work() && (self.is_charged_work || record.spend <= 0.0) {
            return true;
        }
        match record.holder() {
            Some(holder) if !self.calls.is_empty() => self.calls.contains(&call_hash(holder)),
            _ => true,
        }
    }
}

impl<'a> Group<'a> {
    fn new(first: SpendRecord<'a>) -> Self {
        let calls = first.holder().into_iter().cloned().collect();
        Group { first, reused: Vec::new(), calls }
    }

    /// Takes a record of this id; false if it repeats one: a call id is equal, or one side is unknown.
    fn takes(&mut self, record: SpendRecord<'a>) -> bool {
        let is_new = match record.holder() {
            Some(holder) if !self.calls.is_empty() => self.calls.insert(holder.clone()),
            _ => false,
        };
        if is_new {
            self.reused.push(record);
        }
        is_new
    }
}

fn under_its_call_id(mut record: SpendRecord) -> SpendRecord {
    let holder = record.holder().map(AsRef::as_ref).unwrap_or_default();
    record.request_id = record::fit_id(Cow::Owned(format!("{}#{holder}", record.request_id)));
    record
}

#[cfg(test)]
mod tests;
