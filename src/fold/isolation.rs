//! One poison record costs one record, and a broken environment costs none (invariant 7). Rows that fail
//! together are counted in halves, each in a subtransaction of its own, until the rows are found that
//! fail by themselves, beside all that was counted before them. Such a row is rejected only if a record
//! that is known to be good can take its way (`probe`) and if few of the batch are like it; otherwise the
//! whole fold fails, to be tried again, and nothing is rejected.

use litellm_spend_core::blame::{Blame, most_rejected};
use pgrx::spi::SpiClient;

use super::batch::Row;
use super::{Tally, count, probe};
use crate::error::{Error, Result};
use crate::failure::Failure;
use crate::{record, subtransaction};

/// Counts a batch. Fails if the environment does, or if it is not shown that it does not.
pub fn count(client: &mut SpiClient, rows: &[Row]) -> Result<Tally> {
    let mut isolation = Isolation { batch: rows.len(), ..Isolation::default() };
    isolation.count(client, rows)?;
    isolation.reject_suspects(client)
}

/// Counts rows in a subtransaction. The outer error is the environment's, the inner one is that of the rows.
fn attempt(client: &mut SpiClient, rows: &[Row]) -> Result<std::result::Result<Tally, Failure>> {
    match subtransaction::attempt(|| count::rows(client, rows)) {
        Err(failure) if failure.blame() == Blame::Environment => Err(Error::Failed(failure.advised())),
        counted => Ok(counted),
    }
}

#[derive(Default)]
struct Isolation<'r> {
    /// Rows of the batch.
    batch: usize,
    tally: Tally,
    /// Rows that were counted while others failed.
    good: Vec<&'r Row>,
    /// Rows that fail by themselves.
    suspects: Vec<(&'r Row, Failure)>,
}

impl<'r> Isolation<'r> {
    fn count(&mut self, client: &mut SpiClient, rows: &'r [Row]) -> Result<()> {
        match attempt(client, rows)? {
            Ok(tally) => {
                self.tally += tally;
                self.good.extend(rows);
                Ok(())
            }
            Err(failure) => match rows {
                [row] => self.suspect(row, failure),
                _ => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    self.count(client, first)?;
                    self.count(client, second)
                }
            },
        }
    }

    fn suspect(&mut self, row: &'r Row, failure: Failure) -> Result<()> {
        self.suspects.push((row, failure.clone()));
        let most = most_rejected(self.batch);
        if self.suspects.len() <= most {
            return Ok(());
        }
        let hint = format!(
            "More than {most} of {} records fail like this, so it is not the records that are bad: mend what refuses \
             them; nothing is rejected or lost meanwhile.",
            self.batch
        );
        Err(Error::Failed(failure.with_hint(hint)))
    }

    fn reject_suspects(mut self, client: &mut SpiClient) -> Result<Tally> {
        for (row, failure) in self.suspects {
            if !probe::vouches(client, row, &self.good)? {
                let hint = "A record that is known to be good fails too, so it is not the record that is bad: mend what \
                            refuses it; nothing is rejected or lost meanwhile.";
                return Err(Error::Failed(failure.with_hint(hint)));
            }
            // Once more: what refused it may have been repaired between its failure and the probe.
            match attempt(client, std::slice::from_ref(row))? {
                Ok(tally) => self.tally += tally,
                Err(failure) => {
                    record::reject(&Error::Failed(failure), Some(&row.payload))?;
                    self.tally.rejected += 1;
                }
            }
        }
        Ok(self.tally)
    }
}
