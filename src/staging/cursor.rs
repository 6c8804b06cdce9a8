//! The cursor: the snapshot that has been folded through and, while a window is open, the position in that window. The
//! lock on its row makes folds take turns. The window is opened under that lock (invariant 1).

use std::panic::AssertUnwindSafe;

use litellm_spend_core::snapshot::Snapshot;
use litellm_spend_core::snapshot::window::{self, Position, Span};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::batch::Consumed;
use super::cluster_id;
use crate::error::Result;
use crate::postgres::{pinned_settings, plans, session};
use crate::settings;

/// The counts of a fold, which are added to the cursor's totals.
#[derive(Debug, Default)]
pub struct Tally {
    pub folded: usize,
    pub duplicates: usize,
    pub reused_ids: usize,
    pub rejected: usize,
    pub names_not_counted: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.folded += other.folded;
        self.duplicates += other.duplicates;
        self.reused_ids += other.reused_ids;
        self.rejected += other.rejected;
        self.names_not_counted += other.names_not_counted;
    }
}

/// The cursor row.
pub struct Cursor {
    /// Every row of a transaction that this snapshot sees is folded.
    pub through: Snapshot,
    /// The snapshot up to which the current fold reads.
    pub window: Option<Snapshot>,
    /// How far the current fold has read.
    pub position: Option<Position>,
}

const READ: &str = "SELECT folded_through::pg_catalog.text, open_window::pg_catalog.text,
                           position_xid::pg_catalog.text, position_seq
                    FROM litellm_spend.fold_cursor WHERE origin = $1";

impl Cursor {
    /// Waits for the row's lock up to `litellm_spend.lock_timeout`, then reads the row as it is now. None of LiteLLM's
    /// rows is locked before this lock, so nobody waits for a session that waits here.
    pub fn lock(client: &mut SpiClient) -> Result<Self> {
        PgTryBuilder::new(AssertUnwindSafe(|| {
            pinned_settings::waiting_at_most(settings::lock_timeout(), || Self::wait(client))
        }))
        .catch_when(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE, |_| {
            ErrorReport::new(
                PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
                "another fold(), adopt() or rebuild() of this database is running",
                "litellm_spend",
            )
            .set_hint(
                "Try again when it has ended. To find its session, look in pg_locks for locks on \
                     litellm_spend.fold_cursor.",
            )
            .report(PgLogLevel::ERROR);
            unreachable!("an ERROR does not return")
        })
        .execute()
    }

    fn wait(client: &mut SpiClient) -> Result<Self> {
        plans::run(
            client,
            "INSERT INTO litellm_spend.fold_cursor (origin, folded_through) VALUES ($1, '1:1:')
             ON CONFLICT (origin) DO NOTHING",
            &[cluster_id::this_database().into()],
        )?;
        read_row(plans::run(client, &format!("{READ} FOR UPDATE"), &[cluster_id::this_database().into()])?)
    }

    /// The row as the active snapshot sees it, read without a lock and without a transaction id.
    pub fn peek(client: &SpiClient) -> Result<Self> {
        read_row(client.select(READ, Some(1), &[cluster_id::this_database().into()])?)
    }

    /// Opens a window up to the current snapshot if no window is open.
    pub fn open_window(&mut self, client: &mut SpiClient) -> Result<()> {
        let current = match &self.window {
            Some(open) => open.clone(),
            None => {
                let now = plans::run(client, "SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text", &[])?;
                let now: Option<String> = now.first().get(1)?;
                // The lock on the cursor's row gave this transaction its id.
                let own = session::transaction_id_if_any();
                now.unwrap_or_default().parse::<Snapshot>()?.with_in_progress(own)
            }
        };
        self.window = Some(current);
        Ok(())
    }

    /// The spans that are left to read in the open window, after `position` or, if it is `None`, after the cursor's own
    /// position.
    pub fn spans_after(&self, position: Option<Position>) -> Vec<Span> {
        self.window
            .as_ref()
            .map_or_else(Vec::new, |window| window::spans(&self.through, window, position.or(self.position)))
    }

    /// Marks rows as consumed and adds their counts to the totals.
    pub fn advance(mut self, client: &mut SpiClient, consumed: &Consumed, tally: &Tally) -> Result<()> {
        self.position = consumed.position;
        if consumed.is_last {
            self.finish_window();
        }
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        plans::run(
            client,
            "UPDATE litellm_spend.fold_cursor
             SET folded_through = $2::pg_catalog.text::pg_catalog.pg_snapshot,
                 open_window = $3::pg_catalog.text::pg_catalog.pg_snapshot,
                 position_xid = $4::pg_catalog.text::pg_catalog.xid8, position_seq = $5,
                 folded = folded + $6, duplicates = duplicates + $7, reused_ids = reused_ids + $8,
                 rejected = rejected + $9, names_not_counted = names_not_counted + $10,
                 last_fold_at = pg_catalog.clock_timestamp(),
                 starts_without_fold = 0, trying_xid = NULL, trying_seq = NULL, tries = 0
             WHERE origin = $1",
            &[
                cluster_id::this_database().into(),
                self.through.to_string().into(),
                self.window.map(|snapshot| snapshot.to_string()).into(),
                self.position.map(|(xid, _)| xid.to_string()).into(),
                self.position.map(|(_, seq)| seq).into(),
                count(tally.folded).into(),
                count(tally.duplicates).into(),
                count(tally.reused_ids).into(),
                count(tally.rejected).into(),
                count(tally.names_not_counted).into(),
            ],
        )?;
        Ok(())
    }

    /// Adds to the totals the counts of rows that the cursor has already passed.
    pub fn add_up(&self, client: &mut SpiClient, tally: &Tally) -> Result<()> {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        plans::run(
            client,
            "UPDATE litellm_spend.fold_cursor
             SET folded = folded + $2, duplicates = duplicates + $3, reused_ids = reused_ids + $4,
                 rejected = rejected + $5, starts_without_fold = 0, trying_xid = NULL, trying_seq = NULL, tries = 0,
                 names_not_counted = names_not_counted + $6,
                 last_fold_at = pg_catalog.clock_timestamp()
             WHERE origin = $1",
            &[
                cluster_id::this_database().into(),
                count(tally.folded).into(),
                count(tally.duplicates).into(),
                count(tally.reused_ids).into(),
                count(tally.rejected).into(),
                count(tally.names_not_counted).into(),
            ],
        )?;
        Ok(())
    }

    /// Closes a window that holds no rows.
    pub fn close_window(mut self, client: &mut SpiClient) -> Result<()> {
        self.finish_window();
        plans::run(
            client,
            "UPDATE litellm_spend.fold_cursor
             SET folded_through = $2::pg_catalog.text::pg_catalog.pg_snapshot, open_window = NULL,
                 position_xid = NULL, position_seq = NULL
             WHERE origin = $1",
            &[cluster_id::this_database().into(), self.through.to_string().into()],
        )?;
        Ok(())
    }

    fn finish_window(&mut self) {
        if let Some(window) = self.window.take() {
            self.through = window;
        }
        self.position = None;
    }
}

/// Whether a fold left its window open. This locks the cursor's row, so other folds then wait for this transaction.
pub fn has_open_window(client: &mut SpiClient) -> Result<bool> {
    Ok(Cursor::lock(client)?.window.is_some())
}

fn read_row(rows: pgrx::spi::SpiTupleTable) -> Result<Cursor> {
    if rows.is_empty() {
        return Ok(Cursor { through: Snapshot::empty(), window: None, position: None });
    }
    let row = rows.first();
    let parse = |text: Option<String>| text.map(|text| text.parse::<Snapshot>()).transpose();
    let xid: Option<String> = row.get(3)?;
    let seq: Option<i32> = row.get(4)?;
    Ok(Cursor {
        through: parse(row.get(1)?)?.unwrap_or_else(Snapshot::empty),
        window: parse(row.get(2)?)?,
        position: xid.and_then(|xid| xid.parse().ok()).zip(seq),
    })
}
