//! A fuse against a record that ends the server. A crash wipes shared memory, and the worker of the restarted server
//! would fold the same record again, for ever. If the last start of the server has not led to a fold, the worker folds
//! one row at a time, and first commits a note of which row it is. A row that was noted when two workers died is
//! rejected unread. One death is not enough, because it may have any cause. A worker that was ended because another
//! process crashed, or because the server was stopped at once, tells little about its row. That row is tried again,
//! several times.

use std::cell::Cell;

use litellm_spend_core::pace::Pace;
use litellm_spend_core::snapshot::window::Position;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::postponed_walk;
use crate::error::Result;
use crate::fold::{pace, version};
use crate::postgres::own_tables::{self, Lock};
use crate::postgres::quit_note::{self, End, Row};
use crate::postgres::{plans, session, transaction};
use crate::settings;
use crate::staging::batch::{self, Consumed};
use crate::staging::cursor::{Cursor, Tally};
use crate::staging::{cluster_id, postponed};
use crate::targets::Targets;

/// What counts against a row if a worker died while it tried the row alone. A worker that was ended after it had tried
/// the row counts nothing.
const DIED: i32 = 5;
/// What counts against a row if a worker was ended while it tried the row alone.
const WAS_ENDED: i32 = 1;
/// The sum from which a row is rejected.
const GUILTY: i32 = 2 * DIED;

const REJECT: &str = "
    INSERT INTO litellm_spend.rejected (payload, sqlstate, message)
    SELECT s.payload, 'XX000', 'the server has crashed or stopped again and again while a fold tried this record alone'
    FROM litellm_spend.{table} AS s
    WHERE s.origin = $1 AND s.xid = $2::pg_catalog.text::pg_catalog.xid8 AND s.seq = $3";
const DROP: &str = "
    DELETE FROM litellm_spend.postponed AS p
    WHERE p.origin = $1 AND p.xid = $2::pg_catalog.text::pg_catalog.xid8 AND p.seq = $3";

thread_local! {
    /// What the end of the last worker counts against the row that it tried.
    static EVIDENCE: Cell<Option<i32>> = const { Cell::new(None) };
    /// How many more rows are folded one at a time.
    static CAREFUL: Cell<usize> = const { Cell::new(0) };
    /// Whether the row to note next is a postponed row.
    static IS_POSTPONED: Cell<bool> = const { Cell::new(false) };
    /// Whether the cursor notes the row that is folded next, or is being folded.
    static NOTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether rows are folded one at a time.
pub fn is_careful() -> bool {
    CAREFUL.get() > 0
}

/// Whether rows of `litellm_spend.postponed`, or of staging, may be folded now. While rows are folded one at a time,
/// only the table of the noted row may be folded.
pub fn lets_fold(postponed: bool) -> bool {
    !is_careful() || IS_POSTPONED.get() == postponed
}

/// Whether the next row to fold has yet to be noted.
pub fn wants_note() -> bool {
    is_careful() && !NOTED.get()
}

/// Remembers that the cursor notes a row.
pub fn note_is_committed() {
    quit_note::remove();
    NOTED.set(is_careful());
    quit_note::tell(if is_careful() { Row::Tried } else { Row::NotNamed });
}

/// Remembers that the cursor notes no row, because a fold that counts clears the note.
pub fn note_is_gone() {
    if NOTED.replace(false) {
        CAREFUL.set(CAREFUL.get().saturating_sub(1));
    }
    quit_note::tell(Row::NotNamed);
}

/// Notes that a worker is about to fold for the first time since the server's start. The caller commits this before it
/// reads any row.
pub fn arm(server_start: TimestampWithTimeZone) -> Result<()> {
    version::check()?;
    let of_last = match quit_note::prepare() {
        End::Died => DIED,
        End::Ended => WAS_ENDED,
        End::EndedAfterwards => 0,
    };
    EVIDENCE.set(EVIDENCE.get().or(Some(of_last)));
    Spi::connect_mut(|client| {
        Cursor::lock(client)?;
        let armed = plans::run(
            client,
            "UPDATE litellm_spend.fold_cursor
             SET starts_without_fold = starts_without_fold + (armed_for IS DISTINCT FROM $2)::pg_catalog.int4,
                 armed_for = $2
             WHERE origin = $1 RETURNING starts_without_fold > 1 OR trying_xid IS NOT NULL",
            &[cluster_id::this_database().into(), server_start.into()],
        )?;
        if armed.first().get(1)? == Some(true) {
            CAREFUL.set(settings::batch_rows());
            warning!(
                "litellm_spend folds one record at a time for a while, because the server has restarted before a fold ended"
            );
        } else {
            quit_note::remove();
        }
        Ok(())
    })
}

/// Notes which row is folded next. The caller commits the note before it reads the row. Returns true if this rejects a
/// row instead, because that row was noted too often. The tables are locked first, because a worker that ends while
/// it waits for a table would seem to crash at the noted row.
pub fn note_next() -> Result<bool> {
    pace::change(Pace::read_one_by_one);
    let mut cursor = Spi::connect_mut(Cursor::lock)?;
    Spi::connect_mut(|client| {
        Targets::lock(client)?;
        cursor.open_window(client)?;
        let of_staging = batch::first(client, &cursor.spans_after(None))?;
        // The row at which the last worker ended goes first, because a note of another row would clear what counts
        // against it.
        let suspect = suspect(client)?;
        let is_staged = suspect.is_some() && suspect == of_staging;
        if let Some((xid, seq)) = suspect.filter(|_| !is_staged) {
            postponed_walk::go_on(Some((xid, seq - 1)), false);
        }
        let of_postponed = match postponed_walk::next().filter(|_| !is_staged) {
            Some(after) => postponed::first(client, after)?,
            None => None,
        };
        IS_POSTPONED.set(of_postponed.is_some());
        let Some(position) = of_postponed.or(of_staging) else {
            CAREFUL.set(0);
            pace::change(Pace::widen);
            return Ok(false);
        };
        if note(client, &cursor, position)? < GUILTY {
            return Ok(false);
        }
        let key = [cluster_id::this_database().into(), position.0.to_string().into(), position.1.into()];
        let table = if of_postponed.is_some() { "postponed" } else { "staging" };
        plans::run(client, &REJECT.replace("{table}", table), &key)?;
        let tally = Tally { rejected: 1, ..Tally::default() };
        if of_postponed.is_some() {
            plans::run(client, DROP, &key)?;
            cursor.add_up(client, &tally)?;
        } else {
            let consumed = Consumed { rows: 1, position: Some(position), ..Consumed::default() };
            cursor.advance(client, &consumed, &tally)?;
        }
        warning!(
            "litellm_spend has rejected a record, because the server has crashed or stopped again and again while a fold \
             tried it alone"
        );
        Ok(true)
    })
}

/// The row that the cursor already notes.
fn suspect(client: &mut SpiClient) -> Result<Option<Position>> {
    batch::position_in(plans::run(
        client,
        "SELECT c.trying_xid::pg_catalog.text, c.trying_seq FROM litellm_spend.fold_cursor AS c
         WHERE c.origin = $1 AND c.trying_xid IS NOT NULL",
        &[cluster_id::this_database().into()],
    )?)
}

/// Writes the row into the cursor, together with the window in which it is the next row. Returns what counts against
/// the row.
fn note(client: &mut SpiClient, cursor: &Cursor, (xid, seq): Position) -> Result<i32> {
    let noted = plans::run(
        client,
        "UPDATE litellm_spend.fold_cursor AS c
         SET open_window = $2::pg_catalog.text::pg_catalog.pg_snapshot,
             tries = CASE WHEN (c.trying_xid, c.trying_seq) = (n.xid, n.seq) THEN c.tries + $5 ELSE 0 END,
             trying_xid = n.xid, trying_seq = n.seq
         FROM (SELECT $3::pg_catalog.text::pg_catalog.xid8 AS xid, $4 AS seq) AS n
         WHERE c.origin = $1 RETURNING c.tries",
        &[
            cluster_id::this_database().into(),
            cursor.window.as_ref().map(ToString::to_string).into(),
            xid.to_string().into(),
            seq.into(),
            EVIDENCE.replace(Some(0)).unwrap_or(0).into(),
        ],
    )?;
    Ok(noted.first().get(1)?.unwrap_or(0))
}

/// Forgets the noted row, in a transaction of its own, because its fold ended without a crash. This waits for no other
/// session. While another session holds the cursor, the row stays noted, and the next call tries again.
pub fn forget() {
    if !quit_note::is_named() {
        return;
    }
    // The fold has counted nothing, so as many rows as before are left to be folded one at a time.
    NOTED.set(false);
    quit_note::tell(Row::Left);
    match transaction::run(clear) {
        Ok(true) => quit_note::tell(Row::NotNamed),
        Ok(false) => {}
        Err(failure) => log!("litellm_spend could not note that a fold has ended: {}", failure.message),
    }
}

/// Clears the note. Returns false if another session holds the cursor.
fn clear() -> Result<bool> {
    match own_tables::lock() {
        Lock::NotInstalled => return Ok(true),
        Lock::Busy(_) => return Ok(false),
        Lock::Taken => {}
    }
    Spi::connect_mut(|client| {
        let cleared = plans::run(
            client,
            "UPDATE litellm_spend.fold_cursor AS c SET trying_xid = NULL, trying_seq = NULL, tries = 0
             WHERE c.origin = (SELECT f.origin FROM litellm_spend.fold_cursor AS f
                               WHERE f.origin = $1 FOR UPDATE SKIP LOCKED)
             RETURNING true",
            &[cluster_id::this_database().into()],
        )?;
        Ok(!cleared.is_empty())
    })
}

/// Forgets the noted row as the process ends. Tells the next worker if that was not possible.
pub fn forget_at_exit() {
    if !quit_note::is_named() {
        return;
    }
    session::abort_at_exit();
    forget();
    quit_note::leave();
}
