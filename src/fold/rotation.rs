//! Gives staging space back without dead rows (invariant 6): recorders move on to the next segment,
//! and a consumed one is truncated once nobody uses it and its delay has passed, because TRUNCATE is
//! not MVCC and a dump takes its snapshot before its locks.

use std::time::Duration;

use pgrx::callbacks::{PgXactCallbackEvent, register_xact_callback};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::batch::Consumed;
use super::{plans, relation};
use crate::error::Result;
use crate::extension::{Relation, SEGMENTS};
use crate::worker::board;
use crate::{failpoint, origin, settings};

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
/// truncates what is due. Runs under the cursor's lock, after a fold that left nothing to read.
pub fn rotate() -> Result<()> {
    Spi::connect_mut(|client| {
        let used: Vec<bool> = (0..SEGMENTS).map(|segment| size(segment) > 0).collect();
        if !used.contains(&true) {
            return Ok(());
        }
        let _cursor = super::cursor::Cursor::lock(client)?;
        let rotation = read(client)?;
        for segment in (0..SEGMENTS).filter(|segment| used[*segment] && *segment != rotation.current) {
            // The first look spares others the lock: a segment that waits for adopt() is due all the time. The
            // second one counts, because a recorder may have come between the first and the lock.
            if rotation.is_due(segment)
                && is_consumed(client, segment)?
                && lock(segment)
                && is_consumed(client, segment)?
            {
                failpoint::reach("before_truncate");
                client.update(&format!("TRUNCATE litellm_spend.staging_{segment}"), None, &[])?;
                failpoint::reach("after_truncate");
            }
        }
        let next = (rotation.current + 1) % SEGMENTS;
        if size(rotation.current) >= settings::segment_bytes().max(1) && size(next) == 0
            || used[rotation.current] && size(next) == 0 && !super::pending::exists()?
        {
            set_retired(client, rotation.current)?;
            set_current(client, next)?;
            failpoint::reach("after_switch");
        }
        Ok(())
    })
}

/// Whether `rotate` may have something to do; reads only, and takes no transaction id. True while the
/// current segment holds rows and the next one is empty, or a retired one is due.
pub fn needs_rotation() -> Result<bool> {
    Spi::connect(|client| {
        let rotation = Rotation::from_rows(client.select(READ, Some(1), &[origin::this_database().into()])?)?;
        // What is committed, also where the note of a rotation has gone astray.
        note(rotation.current);
        let mut used = (0..SEGMENTS).filter(|segment| size(*segment) > 0);
        let next_is_empty = size((rotation.current + 1) % SEGMENTS) == 0;
        Ok(used.any(|segment| if segment == rotation.current { next_is_empty } else { rotation.is_due(segment) }))
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

/// How long until a retired segment may be truncated; `None` if none waits.
pub fn next_truncation() -> Result<Option<Duration>> {
    Spi::connect(|client| {
        let rotation = Rotation::from_rows(client.select(READ, Some(1), &[origin::this_database().into()])?)?;
        let waiting = (0..SEGMENTS).filter(|segment| *segment != rotation.current && size(*segment) > 0);
        Ok(waiting.map(|segment| rotation.wait(segment)).min())
    })
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
        // SAFETY: reads the clock.
        let now = unsafe { pg_sys::GetCurrentTimestamp() };
        let retired_at = self.retired_at[segment].unwrap_or(0);
        let waited = Duration::from_micros(u64::try_from(now.saturating_sub(retired_at)).unwrap_or(0));
        settings::truncate_delay().saturating_sub(waited)
    }

    fn is_due(&self, segment: usize) -> bool {
        self.wait(segment).is_zero()
    }
}

fn read(client: &mut SpiClient) -> Result<Rotation> {
    Rotation::from_rows(plans::run(client, READ, &[origin::this_database().into()])?)
}

fn set_retired(client: &mut SpiClient, segment: usize) -> Result<()> {
    let at = i32::try_from(segment + 1).unwrap_or(1);
    plans::run(
        client,
        "INSERT INTO litellm_spend.rotation (origin) VALUES ($1) ON CONFLICT (origin) DO NOTHING",
        &[origin::this_database().into()],
    )?;
    plans::run(
        client,
        "UPDATE litellm_spend.rotation SET retired_at[$2] = pg_catalog.clock_timestamp() WHERE origin = $1",
        &[origin::this_database().into(), at.into()],
    )?;
    Ok(())
}

fn set_current(client: &mut SpiClient, segment: usize) -> Result<()> {
    plans::run(
        client,
        "UPDATE litellm_spend.rotation SET segment = $2 WHERE origin = $1",
        &[origin::this_database().into(), i16::try_from(segment).unwrap_or(0).into()],
    )?;
    register_xact_callback(PgXactCallbackEvent::Commit, move || note(segment));
    Ok(())
}

/// Tells recorders which segment to use.
fn note(segment: usize) {
    // SAFETY: the session's database is set before any function can run in it.
    board::note_segment(unsafe { pg_sys::MyDatabaseId }, segment);
}

/// Locks the segment without waiting. True says that no recorder holds it from then on.
fn lock(segment: usize) -> bool {
    Relation::Segment(segment).lock_without_waiting(pg_sys::AccessExclusiveLock).is_some()
}

/// Looks with a fresh snapshot whether every row of the segment is consumed, one of another cluster by the
/// cursor that came with it.
fn is_consumed(client: &mut SpiClient, segment: usize) -> Result<bool> {
    let unread = plans::run(
        client,
        &format!(
            "SELECT EXISTS (
                 SELECT FROM litellm_spend.staging_{segment} s LEFT JOIN litellm_spend.fold_cursor c USING (origin)
                 WHERE c.origin IS NULL OR NOT pg_catalog.pg_visible_in_snapshot(s.xid, c.folded_through))"
        ),
        &[],
    )?;
    Ok(unread.first().get(1)? == Some(false))
}

/// Bytes of a segment's heap; 0 if it does not exist.
fn size(segment: usize) -> u64 {
    Relation::Segment(segment).oid().map_or(0, relation::heap_bytes)
}
