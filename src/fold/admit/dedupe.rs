//! Decides which records of a batch count, and remembers them (invariant 3). LiteLLM's SpendLogs is the memory of
//! request ids, because it holds the proxy's rows as well as ours. The ledger is the memory where SpendLogs is not
//! written, is missing, or cannot tell by itself that an id was there.

use litellm_spend_core::dedupe::{Groups, Known};
use litellm_spend_core::record::SpendRecord;
use pgrx::spi::SpiClient;

use super::ledger::Ledger;
use super::log::LogTable;
use crate::error::Result;
use crate::settings::{self, LedgerUse};
use crate::targets::Targets;

/// Which records count, and how many did not.
pub struct Admitted<'a> {
    pub counted: Vec<SpendRecord<'a>>,
    pub duplicates: usize,
    pub reused_ids: usize,
}

struct Memory<'t> {
    log: Option<LogTable<'t>>,
    ledger: Option<Ledger>,
}

/// Picks the records that count. Logs them and enters them in the ledger, where the log and the ledger are kept.
pub fn admit<'a>(client: &mut SpiClient, targets: &Targets, groups: Groups<'a>) -> Result<Admitted<'a>> {
    let log = LogTable::of(targets);
    let is_kept = settings::ledger() == LedgerUse::On || !log.as_ref().is_some_and(LogTable::insert_tells_known_ids);
    let memory = Memory { log, ledger: Ledger::open(client, is_kept)? };

    let known = memory.claim(client, groups.candidates())?;
    let first = groups.resolve(&known);
    let reused = Groups::new(first.renamed);
    let known = memory.claim(client, reused.candidates())?;
    // An id that names its record's call or start can only belong to that same record.
    let second = reused.resolve(&known);
    let reused_ids = second.counted.len();
    let mut counted = first.counted;
    counted.extend(second.counted);
    Ok(Admitted { counted, duplicates: first.duplicates + second.duplicates + second.renamed.len(), reused_ids })
}

impl Memory<'_> {
    /// Claims an id for each of these records. Returns the ids that were remembered already, and remembers the others.
    fn claim<'r, 'a: 'r>(
        &self,
        client: &mut SpiClient,
        records: impl Iterator<Item = &'r SpendRecord<'a>>,
    ) -> Result<Known> {
        let mut records: Vec<&SpendRecord> = records.collect();
        let mut known = Known::default();
        if records.is_empty() {
            return Ok(known);
        }
        records.sort_unstable_by(|a, b| a.request_id.as_bytes().cmp(b.request_id.as_bytes()));
        let is_known = |known: &Known, record: &SpendRecord| known.holds(&record.request_id);
        if let Some(ledger) = &self.ledger {
            ledger.find(client, &records, &mut known)?;
        }
        if let Some(log) = &self.log {
            // Where the proxy has used an id as well, only the log may know whose id it is.
            let doubtful = if log.insert_tells_known_ids() {
                records.iter().copied().filter(|record| is_known(&known, record)).collect()
            } else {
                records.clone()
            };
            log.find(client, &doubtful, &mut known)?;
            records.retain(|record| !is_known(&known, record));
            log.insert(client, &records, &mut known)?;
        }
        records.retain(|record| !is_known(&known, record));
        if let Some(ledger) = &self.ledger {
            ledger.remember(&records)?;
        }
        Ok(known)
    }
}
