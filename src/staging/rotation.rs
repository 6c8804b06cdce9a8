//! Gives staging space back without dead rows (invariant 6): recorders move on to the next segment,
//! and a consumed one is truncated once nobody uses it and its delay has passed, because TRUNCATE is
//! not MVCC and a dump takes its snapshot before its locks.

use std::time::Duration;

use litellm_spend_core::snapshot::Snapshot;
use pgrx::callbacks::{PgXactCallbackEvent, register_xact_callback};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::batch::Consumed;
use super::cursor::Cursor;
use super::{backlog, cluster_id, truncation};
use crate::error::Result;
use crate::postgres::failure::Failure;
use crate::postgres::own_tables::{Relation, SEGMENTS};
use crate::postgres::plans;
use crate::postgres::process;
use crate::postgres::{relation, subtransaction};
use crate::worker::board;
use crate::{failpoint, settings};

const READ: &str = "SELECT segment, retired_at FROM litellm_spend.rotation WHERE origin = $1";

/// Which segment recorders use and since when each of the others waits to be truncated.
struct Rotation {
    current: usize,
    retired_at: Vec<Option<pg_sys::TimestampTz>>,
}

/// Notes that a fold has just read segments, which puts off their truncation.
pub fn note_read(client: &mut SpiClient, consumed: &Consumed) -> Result<()> {
    let rotation = read(client)?;
    let read_segment = |segment: &usize| i16::try_from(*segment).is_ok_and(|at| consumed.segments.contains(&at));
    for segment in (0..SEGMENTS).filter(|segment| *segment != rotation.current).filter(read_segment) {
        set_retired(client, segment)?;
    }
    Ok(())
}

/// Moves recorders on to an empty segment when theirs is full or has been folded to its end, and
/// truncates what is due. Runs after a fold that left nothing to read. Returns what kept a segment from being
/// truncated though nobody uses it.
pub fn rotate() -> Result<Option<Failure>> {
    Spi::connect_mut(|client| {
        if (0..SEGMENTS).all(|segment| size(segment) == 0) {
            return Ok(None);
        }
        let mut refusal = None;
        let through = Cursor::lock(client)?.through;
        let rotation = read(client)?;
        for segment in retired(&rotation) {
            // The first look spares others the lock: a segment that waits for adopt() is due all the time. The
            // second one counts, because a recorder may have come between the first and the lock. Its snapshot is
            // younger than the lock, as this transaction writes.
            if rotation.is_due(segment)
                && is_consumed(client, segment, &through)?
                && truncation::lock(Relation::Segment(segment))
                && is_consumed(client, segment, &through)?
            {
                // What keeps one from being truncated keeps recorders from no other.
                refusal = subtransaction::attempt(|| truncate(client, segment)).err().or(refusal);
            }
        }
        let current = rotation.current;
        if let Some(next) = rotation.next_empty()
            && (size(current) >= settings::segment_bytes().max(1) || size(current) > 0 && !backlog::exists()?)
        {
            set_retired(client, current)?;
            set_current(client, next)?;
            failpoint::reach("after_switch");
        }
        Ok(refusal)
    })
}

/// The same at the end of a fold, of which it takes nothing back if it fails.
pub fn rotate_or_warn() {
    if let Some(refusal) = subtransaction::attempt(rotate).unwrap_or_else(Some) {
        warn(&refusal);
    }
}

/// Tells that staging goes on to grow.
pub fn warn(refusal: &Failure) {
    warning!(
        "litellm_spend gives no staging space back and tries again: {} (SQLSTATE {})",
        refusal.message,
        refusal.sqlstate
    );
}

fn truncate(client: &mut SpiClient, segment: usize) -> Result<()> {
    failpoint::reach("before_truncate");
    client.update(&format!("TRUNCATE litellm_spend.staging_{segment}"), None, &[])?;
    failpoint::reach("after_truncate");
    Ok(())
}

/// Rotates if there is anything to do; otherwise it only reads, and takes no transaction id.
pub fn keep_staging() -> Result<Option<Failure>> {
    if needs_rotation()? { rotate() } else { Ok(None) }
}

/// Whether `rotate` may have something to do; reads only, and takes no transaction id. True while the
/// current segment holds rows and another one is empty, or a retired one is consumed and due.
fn needs_rotation() -> Result<bool> {
    Spi::connect(|client| {
        let rotation = peek(client)?;
        // What is committed, also where the note of a rotation has gone astray.
        note(rotation.current);
        if size(rotation.current) > 0 && rotation.next_empty().is_some() {
            return Ok(true);
        }
        let mut due = retired(&rotation).filter(|segment| rotation.is_due(*segment));
        let through = Cursor::peek(client)?.through;
        due.try_fold(false, |found, segment| Ok(found || is_consumed(client, segment, &through)?))
    })
}

/// Whether a prepared transaction holds a lock on staging: its rows come with a COMMIT PREPARED, which
/// wakes nobody.
pub fn prepared_transactions_hold_rows() -> Result<bool> {
    Spi::connect(|client| {
        let found = client.select(
            "SELECT EXISTS (
                 SELECT FROM pg_catalog.pg_locks l
                 WHERE l.locktype = 'relation' AND l.pid IS NULL AND l.relation = ANY ($1)
                   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
             AND EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts)",
            Some(1),
            &[(0..SEGMENTS).filter_map(|segment| Relation::Segment(segment).oid()).collect::<Vec<_>>().into()],
        )?;
        Ok(found.first().get(1)?.unwrap_or(false))
    })
}

/// How long until a retired segment may be truncated; `None` if none waits for that. One in which not all is consumed
/// waits for a fold or for adopt().
pub fn next_truncation() -> Result<Option<Duration>> {
    Spi::connect(|client| {
        let rotation = peek(client)?;
        let through = Cursor::peek(client)?.through;
        let mut next: Option<Duration> = None;
        for segment in retired(&rotation) {
            if is_consumed(client, segment, &through)? {
                let wait = rotation.wait(segment);
                next = Some(next.map_or(wait, |next| next.min(wait)));
            }
        }
        Ok(next)
    })
}

/// The segments with rows to which no new ones go.
fn retired(rotation: &Rotation) -> impl Iterator<Item = usize> {
    let current = rotation.current;
    (0..SEGMENTS).filter(move |segment| *segment != current && size(*segment) > 0)
}

fn is_consumed(client: &SpiClient, segment: usize, through: &Snapshot) -> Result<bool> {
    Ok(!backlog::exists_in(client, segment, through)?)
}

impl Rotation {
    fn from_rows(rows: pgrx::spi::SpiTupleTable) -> Result<Self> {
        if rows.is_empty() {
            return Ok(Rotation { current: 0, retired_at: vec![None; SEGMENTS] });
        }
        let row = rows.first();
        let segment: Option<i16> = row.get(1)?;
        let retired: Vec<Option<TimestampWithTimeZone>> = row.get(2)?.unwrap_or_default();
        let mut retired_at: Vec<_> = retired.into_iter().map(|at| at.map(pg_sys::TimestampTz::from)).collect();
        retired_at.resize(SEGMENTS, None);
        Ok(Rotation { current: usize::from(segment.unwrap_or(0).unsigned_abs()) % SEGMENTS, retired_at })
    }

    /// What is left of the segment's delay.
    fn wait(&self, segment: usize) -> Duration {
        let now = process::now();
        let retired_at = self.retired_at[segment].unwrap_or(0);
        let waited = Duration::from_micros(u64::try_from(now.saturating_sub(retired_at)).unwrap_or(0));
        settings::truncate_delay().saturating_sub(waited)
    }

    fn is_due(&self, segment: usize) -> bool {
        self.wait(segment).is_zero()
    }

    /// The segment that recorders use next: an empty one, because others may be pinned for as long as a transaction
    /// runs.
    fn next_empty(&self) -> Option<usize> {
        (1..SEGMENTS).map(|step| (self.current + step) % SEGMENTS).find(|segment| size(*segment) == 0)
    }
}

fn read(client: &mut SpiClient) -> Result<Rotation> {
    Rotation::from_rows(plans::run(client, READ, &[cluster_id::this_database().into()])?)
}

fn peek(client: &SpiClient) -> Result<Rotation> {
    Rotation::from_rows(client.select(READ, Some(1), &[cluster_id::this_database().into()])?)
}

fn set_retired(client: &mut SpiClient, segment: usize) -> Result<()> {
    let at = i32::try_from(segment + 1).unwrap_or(1);
    plans::run(
        client,
        "INSERT INTO litellm_spend.rotation (origin) VALUES ($1) ON CONFLICT (origin) DO NOTHING",
        &[cluster_id::this_database().into()],
    )?;
    plans::run(
        client,
        "UPDATE litellm_spend.rotation SET retired_at[$2] = pg_catalog.clock_timestamp() WHERE origin = $1",
        &[cluster_id::this_database().into(), at.into()],
    )?;
    Ok(())
}

fn set_current(client: &mut SpiClient, segment: usize) -> Result<()> {
    plans::run(
        client,
        "UPDATE litellm_spend.rotation SET segment = $2 WHERE origin = $1",
        &[cluster_id::this_database().into(), i16::try_from(segment).unwrap_or(0).into()],
    )?;
    register_xact_callback(PgXactCallbackEvent::Commit, move || note(segment));
    Ok(())
}

/// Tells recorders which segment to use.
fn note(segment: usize) {
    board::note_segment(process::my_database(), segment);
}

/// Bytes of a segment's heap; 0 if it does not exist.
fn size(segment: usize) -> u64 {
    Relation::Segment(segment).oid().map_or(0, relation::heap_bytes)
}
