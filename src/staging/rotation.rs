//! Gives staging space back without dead rows (invariant 6). Recorders move on to the next segment. A consumed segment
//! is truncated once no session uses it and its delay has passed. The delay exists because TRUNCATE is not MVCC and a
//! dump takes its snapshot before its locks.

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
use crate::postgres::{plans, process, relation, subtransaction};
use crate::worker::board;
use crate::{failpoint, settings};

const READ: &str = "SELECT segment, retired_at FROM litellm_spend.rotation WHERE origin = $1";

/// The segment that recorders use, and since when each other segment waits to be truncated.
struct Rotation {
    current: usize,
    retired_at: Vec<Option<pg_sys::TimestampTz>>,
}

/// Notes that a fold has just read segments. The note delays their truncation.
pub fn note_read(client: &mut SpiClient, consumed: &Consumed) -> Result<()> {
    let rotation = read(client)?;
    let read_segment = |segment: &usize| i16::try_from(*segment).is_ok_and(|at| consumed.segments.contains(&at));
    for segment in (0..SEGMENTS).filter(|segment| *segment != rotation.current).filter(read_segment) {
        set_retired(client, segment)?;
    }
    Ok(())
}

/// Moves recorders to an empty segment when their segment is full or folded to its end, and truncates the segments that
/// are due. It runs after a fold that left nothing to read. Returns the error, if any, that kept an unused segment from
/// being truncated.
pub fn rotate() -> Result<Option<Failure>> {
    Spi::connect_mut(|client| {
        if (0..SEGMENTS).all(|segment| size(segment) == 0) {
            return Ok(None);
        }
        let mut refusal = None;
        let through = Cursor::lock(client)?.through;
        let rotation = read(client)?;
        for segment in retired(&rotation) {
            // The first check avoids the lock, because a segment that waits for adopt() is always due. The second check
            // decides, because a recorder may have written between the first check and the lock. Its snapshot is newer
            // than the lock, because this transaction writes.
            if rotation.is_due(segment)
                && is_consumed(client, segment, &through)?
                && truncation::lock(Relation::Segment(segment))
                && is_consumed(client, segment, &through)?
            {
                // An error in one segment does not keep recorders from the others.
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

/// Rotates at the end of a fold. An error is logged as a warning and undoes no part of the fold.
pub fn rotate_or_warn() {
    if let Some(refusal) = subtransaction::attempt(rotate).unwrap_or_else(Some) {
        warn(&refusal);
    }
}

/// Warns that staging keeps growing.
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

/// Rotates if there is anything to do. Otherwise it only reads, and takes no transaction id.
pub fn keep_staging() -> Result<Option<Failure>> {
    if needs_rotation()? { rotate() } else { Ok(None) }
}

/// Whether `rotate` may have something to do. It only reads, and takes no transaction id. It is true while the current
/// segment holds rows and another segment is empty, or while a retired segment is consumed and due.
fn needs_rotation() -> Result<bool> {
    Spi::connect(|client| {
        let rotation = peek(client)?;
        // This note repairs the board's segment from the committed row, in case the note of a rotation was lost.
        note(rotation.current);
        if size(rotation.current) > 0 && rotation.next_empty().is_some() {
            return Ok(true);
        }
        let mut due = retired(&rotation).filter(|segment| rotation.is_due(*segment));
        let through = Cursor::peek(client)?.through;
        due.try_fold(false, |found, segment| Ok(found || is_consumed(client, segment, &through)?))
    })
}

/// Whether a prepared transaction holds a lock on staging. Its rows become visible with a COMMIT PREPARED, which wakes
/// no worker.
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

/// How long until a retired segment may be truncated; `None` if no segment waits only for its delay. A segment that is
/// not fully consumed waits for a fold or for adopt() instead.
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

/// The segments that hold rows and get no new ones.
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

    /// The rest of the segment's delay.
    fn wait(&self, segment: usize) -> Duration {
        let now = process::now();
        let retired_at = self.retired_at[segment].unwrap_or(0);
        let waited = Duration::from_micros(u64::try_from(now.saturating_sub(retired_at)).unwrap_or(0));
        settings::truncate_delay().saturating_sub(waited)
    }

    fn is_due(&self, segment: usize) -> bool {
        self.wait(segment).is_zero()
    }

    /// The segment that recorders use next. It is an empty one, because a long transaction may keep the others from
    /// being truncated.
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
