//! Which records of a batch count (invariant 3). A request id counts once. If a known id comes with another
//! `litellm_call_id`, it is another request of a provider that reuses ids, and it counts under `id#litellm_call_id`. If
//! the id is the call id and comes with another start, it is another request of an application that reuses call ids,
//! and it counts under `id#milliseconds`. The work takes two steps, because only a memory outside (the log table, the
//! ledger) knows the ids of earlier batches.

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};

use crate::record::{self, Holder, SpendRecord};

#[cfg(test)]
mod tests;

type Text<'a> = Cow<'a, str>;

/// The request ids that the log table or the ledger remembers, with their holders.
#[derive(Debug, Default)]
pub struct Known(HashMap<String, Holders>);

/// The holders of an id.
#[derive(Debug, Default, Clone)]
struct Holders {
    /// The hashes of the holders: none if the holder is not known, several if the memories differ.
    hashes: Vec<i64>,
    /// The hashes that come from log rows, which LiteLLM's proxy may have written.
    logged: Vec<i64>,
    /// Whether the cost of work in the background was charged under the id.
    is_charged_work: bool,
}

impl Known {
    /// Notes that an id is remembered, with the hash of its holder if that is known.
    pub fn add(&mut self, request_id: &str, holder: Option<i64>) {
        self.0.entry(request_id.to_owned()).or_default().hashes.extend(holder);
    }

    /// Notes that the log has a row of this id, with its holder if that is known.
    pub fn add_logged(&mut self, request_id: &str, holder: Option<Holder>) {
        let holder = holder.map(|holder| holder.hash());
        self.add(request_id, holder);
        self.0.entry(request_id.to_owned()).or_default().logged.extend(holder);
    }

    /// Notes that the cost of work in the background was charged under this id.
    pub fn add_charged_work(&mut self, request_id: &str) {
        self.0.entry(request_id.to_owned()).or_default().is_charged_work = true;
    }

    /// Whether the id is remembered.
    pub fn holds(&self, request_id: &str) -> bool {
        self.0.contains_key(request_id)
    }
}

/// The records of a batch, grouped by request id: the first step.
#[derive(Debug)]
pub struct Groups<'a> {
    /// The groups, in the order of the batch.
    groups: Vec<Group<'a>>,
    duplicates: usize,
}

#[derive(Debug)]
struct Group<'a> {
    first: SpendRecord<'a>,
    /// Records with the same id. Each has a holder that no other record of the group has.
    reused: Vec<SpendRecord<'a>>,
    /// The holders of the first record and of the reused ones.
    holders: HashSet<Holder<'a>>,
}

/// The result of the second step.
#[derive(Debug)]
pub struct Resolved<'a> {
    /// The records that count, under the id with which they were sent.
    pub counted: Vec<SpendRecord<'a>>,
    /// The records whose id another request holds, under their new id. Nobody has looked that id up yet.
    pub renamed: Vec<SpendRecord<'a>>,
    /// How many records repeated another record.
    pub duplicates: usize,
}

impl<'a> Groups<'a> {
    /// Groups the records of a batch by request id and counts those that repeat another one.
    pub fn new(records: impl IntoIterator<Item = SpendRecord<'a>>) -> Self {
        let mut groups: Vec<Group<'a>> = Vec::new();
        let mut by_id: HashMap<Text<'a>, usize> = HashMap::new();
        let mut duplicates = 0;
        for record in records {
            if record.is_cost_of_work() && record.usage.spend <= 0.0 {
                // LiteLLM does not record such a poll either. It would hold the id of the poll that tells the cost.
                duplicates += 1;
                continue;
            }
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

    /// Decides about each record, given what is remembered of the candidates' ids. A candidate whose id is not
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
                    let hashes = group.first.holder().map(|holder| holder.hash()).into_iter().collect();
                    resolved.counted.push(group.first);
                    Holders { hashes, ..Holders::default() }
                }
            };
            for record in contenders {
                if holders.include(&record) {
                    resolved.duplicates += 1;
                } else {
                    resolved.renamed.push(under_its_holder(record));
                }
            }
        }
        resolved
    }
}

impl Holders {
    /// Whether `record` repeats a request that holds its id: the holders are equal, or one of them is unknown. Work in
    /// the background is a repetition if it was charged before or has nothing to charge (LiteLLM's
    /// `_claim_settle_once_cost_row`).
    fn include(&self, record: &SpendRecord) -> bool {
        if record.is_cost_of_work() && (self.is_charged_work || record.usage.spend <= 0.0) {
            return true;
        }
        let Some(holder) = record.holder() else { return true };
        let holds = |hashes: &[i64], holder: Option<i64>| holder.is_some_and(|hash| hashes.contains(&hash));
        self.hashes.is_empty()
            || holds(&self.hashes, Some(holder.hash()))
            || holds(&self.hashes, holder.hash_without_start())
            || holds(&self.logged, record.holder_in_proxys_row().map(|holder| holder.hash()))
    }
}

impl<'a> Group<'a> {
    fn new(first: SpendRecord<'a>) -> Self {
        let holders = first.holder().into_iter().collect();
        Group { first, reused: Vec::new(), holders }
    }

    /// Takes a record of this id. Returns false if it repeats a record: the holders are equal, or one of them is
    /// unknown.
    fn takes(&mut self, record: SpendRecord<'a>) -> bool {
        let is_new = match record.holder() {
            Some(holder) if !self.holders.is_empty() => self.holders.insert(holder),
            _ => false,
        };
        if is_new {
            self.reused.push(record);
        }
        is_new
    }
}

fn under_its_holder(mut record: SpendRecord) -> SpendRecord {
    let suffix = record.holder().map(|holder| holder.suffix()).unwrap_or_default();
    record.request_id = record::fit_id(Cow::Owned(format!("{}#{suffix}", record.request_id)));
    record
}
