//! How much one fold counts. While more rows wait it goes on batch after batch and writes their sums once: a
//! daily row that a hundred batches add to is then written once and not a hundred times, and no row is locked
//! before the end. One batch at a time is in memory, and what they add up to is bounded as well.
//!
//! A record that fails takes down all that is counted with it; the fold then goes back to one batch, in which
//! the record is found (`isolation`), and widens again from there.

use std::cell::Cell;
use std::time::Instant;

use litellm_spend_core::blame::Blame;
use pgrx::prelude::*;

use super::batch::{self, Consumed};
use super::count::Count;
use super::cursor::Cursor;
use super::patience::Patience;
use super::{Tally, isolation};
use crate::error::{Error, Result};
use crate::{settings, subtransaction};

thread_local! {
    /// How many batches the next fold of this process may count.
    static WIDTH: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Counts what waits behind the cursor, or a part of it.
pub fn count(cursor: &Cursor, patience: Patience) -> Result<(Consumed, Tally)> {
    let width = WIDTH.get();
    if width > 1 {
        match subtransaction::attempt(|| several(cursor, width, patience)) {
            Ok(counted) => {
                WIDTH.set(width.saturating_mul(2));
                return Ok(counted);
            }
            Err(failure) if failure.blame() == Blame::Environment => return Err(Error::Failed(failure.advised())),
            Err(_) => WIDTH.set(1),
        }
    }
    let (consumed, tally) = one(cursor)?;
    WIDTH.set(if tally.rejected == 0 { 2 } else { 1 });
    Ok((consumed, tally))
}

fn several(cursor: &Cursor, width: usize, patience: Patience) -> Result<(Consumed, Tally)> {
    let mut count = Spi::connect_mut(Count::begin)?;
    let (mut consumed, mut tally) = (Consumed::default(), Tally::default());
    for _ in 0..width {
        // A connection of its own for each batch, as its memory is given back with it.
        Spi::connect_mut(|client| {
            let wanted = patience.batch_rows(count.totals().rows());
            let batch = batch::read(client, &cursor.spans_after(consumed.position), wanted)?;
            tally += count.add_rows(client, &batch.rows)?;
            consumed.add(&batch);
            Ok::<_, Error>(())
        })?;
        let totals = count.totals();
        if consumed.is_last || patience.ends_at(consumed.rows, totals.rows(), totals.bytes()) {
            break;
        }
        pgrx::check_for_interrupts!();
    }
    if consumed.rows > 0 {
        Spi::connect_mut(|client| {
            let begun = Instant::now();
            count.write(client)?;
            patience.learn(client, count.totals().rows(), begun.elapsed())
        })?;
    }
    Ok((consumed, tally))
}

/// One batch, in parts where a record fails.
fn one(cursor: &Cursor) -> Result<(Consumed, Tally)> {
    Spi::connect_mut(|client| {
        let batch = batch::read(client, &cursor.spans_after(None), settings::batch_rows())?;
        let mut consumed = Consumed::default();
        consumed.add(&batch);
        let tally = if batch.rows.is_empty() { Tally::default() } else { isolation::count(client, &batch.rows)? };
        Ok((consumed, tally))
    })
}
