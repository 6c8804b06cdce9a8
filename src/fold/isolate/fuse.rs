//! A fuse against a record that ends the server: a crash wipes shared memory, and the worker of the restarted server
//! would fold the same record again, for ever. Where the last start of the server has not led to a fold, the worker
//! folds one row at a time and commits first which one. A row that was noted so when two workers died is rejected
//! unread: one death may have any cause. A worker that was ended because another process crashed, or because the server
//! was stopped at once, tells little of its row: that is tried again, several times.

use std::cell::Cell;

use litellm_spend_core::pace::Pace;
use litellm_spend_core::snapshot::window::Position;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::postponed_walk;
use crate::error::Result;
use crate::fold::pace;
use crate::fold::version;
use crate::postgres::own_tables::{self, Lock};
use crate::postgres::plans;
use crate::postgres::quit_note::{self, End, Row};
use crate::postgres::session;
use crate::postgres::transaction;
use crate::settings;
use crate::staging::batch::{self, Consumed};
use crate::staging::cursor::Cursor;
use crate::staging::cursor::Tally;
use crate::staging::{cluster_id, postponed};
use crate::targets::Targets;

/// What it counts that a worker died while it tried a row alone, or was ended meanwhile; and the sum from which the row
/// is rejected. One that was ended when it had tried the row counts nothing.
const DIED: i32 = 5;
const WAS_ENDED: i32 = 1;
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
    /// Whether the row that is to be noted is a postponed one.
    static IS_POSTPONED: Cell<bool> = const { Cell::new(false) };
    /// Whether the row that is folded next, or is being folded, is noted in the cursor.
    static NOTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether rows are folded one at a time.
pub fn is_careful() -> bool {
    CAREFUL.get() > 0
}

/// Whether rows of `litellm_spend.postponed`, or of staging, may be folded now: all, or those that are noted.
pub fn lets_fold(postponed: bool) -> bool {
    !is_careful() || IS_POSTPONED.get() == postponed
}

/// Whether the row that is folded next has yet to be noted.
pub fn wants_note() -> bool {
    is_careful() && !NOTED.get()
}

/// Remembers that the cursor names a row.
pub fn note_is_committed() {
    quit_note::remove();
    NOTED.set(is_careful());
    quit_note::tell(if is_careful() { Row::Tried } else { Row::NotNamed });
}

/// Remembers that it names none, as a fold that counts clears it.
pub fn note_is_gone() {
    if NOTED.replace(false) {
        CAREFUL.set(CAREFUL.get().saturating_sub(1));
    }
    quit_note::tell(Row::NotNamed);
}

/// Notes that a worker is about to fold for the first time since the server's start; to be committed before it
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

/// Notes which row is folded next, to be committed before it is read; true if it rejects one instead that was noted
/// too often. The tables are locked first, because who waits for one would seem to crash there.
pub fn note_next() -> Result<bool> {
    pace::change(Pace::read_one_by_one);
    let mut cursor = Spi::connect_mut(Cursor::lock)?;
    Spi::connect_mut(|client| {
        Targets::lock(client)?;
        cursor.open_window(client)?;
        let of_staging = batch::first(client, &cursor.spans_after(None))?;
        // The row at which the last worker ended goes first: a note of another one would clear what counts against it.
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

/// The row that is noted from before.
fn suspect(client: &mut SpiClient) -> Result<Option<Position>> {
    batch::position_in(plans::run(
        client,
        "SELECT c.trying_xid::pg_catalog.text, c.trying_seq FROM litellm_spend.fold_cursor AS c
         WHERE c.origin = $1 AND c.trying_xid IS NOT NULL",
        &[cluster_id::this_database().into()],
    )?)
}

/// Writes the row into the cursor, and the window in which it is the next one; returns what counts against it.
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

/// Forgets the row that was noted, in a transaction of its own, because its fold ended without a crash. Waits for
/// nobody: while another session holds the cursor, the row stays noted, and the next call tries again.
pub fn forget() {
    if !quit_note::is_named() {
        return;
    }
    // It has counted nothing, so as many rows as before are left to be folded one at a time.
    NOTED.set(false);
    quit_note::tell(Row::Left);
    match transaction::run(clear) {
        Ok(true) => quit_note::tell(Row::NotNamed),
        Ok(false) => {}
        Err(failure) => log!("litellm_spend could not note that a fold has ended: {}", failure.message),
    }
}

/// Clears the note; false if another session holds the cursor.
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

/// The same as the process ends; tells the next worker where that was not possible.
pub fn forget_at_exit() {
    if !quit_note::is_named() {
        return;
    }
    session::abort_at_exit();
    forget();
    quit_note::leave();
}
