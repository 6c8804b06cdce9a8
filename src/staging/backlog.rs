//! Answers which committed rows are not folded yet, without folding. The worker asks before it takes a lock, and so do
//! `status`, `flush` and rotation. The module only reads, and takes no transaction id. Each query reads only index
//! ranges in which nothing is consumed, so its cost does not depend on how many consumed rows are not truncated yet.

use litellm_spend_core::snapshot::Snapshot;
use litellm_spend_core::snapshot::window::{self, Position, Span};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::cluster_id;
use super::cursor::Cursor;
use crate::error::Result;

/// Whether any row is left to fold. It reads no consumed row, however long a transaction runs.
pub fn exists() -> Result<bool> {
    Spi::connect(|client| {
        let cursor = Cursor::peek(client)?;
        if cursor.window.is_some() {
            return Ok(true);
        }
        Unfolded::ended(&cursor, &current_snapshot(client)?).exist_in(client, "staging")
    })
}

/// How many rows are left to fold, counted up to `limit`, and when the first of them was staged.
pub fn size(limit: i64) -> Result<(i64, Option<TimestampWithTimeZone>)> {
    Spi::connect(|client| {
        let unfolded = Unfolded::ended(&Cursor::peek(client)?, &current_snapshot(client)?);
        let query = format!(
            "SELECT pg_catalog.count(*), pg_catalog.min(u.staged_at) FROM ({} LIMIT {limit}) AS u",
            unfolded.rows_of("staging")
        );
        let row = client.select(&query, Some(1), &unfolded.arguments)?.first();
        Ok((row.get::<i64>(1)?.unwrap_or(0), row.get(2)?))
    })
}

/// Whether any row that `asked` sees is left to fold.
pub fn exists_for(asked: &Snapshot) -> Result<bool> {
    Spi::connect(|client| Unfolded::ended(&Cursor::peek(client)?, asked).exist_in(client, "staging"))
}

/// Whether a segment holds a row that is not consumed. That is a row of this database that `through` does not see, or a
/// row of another cluster that the other cluster's own cursor does not see. A row of an open window counts as not
/// consumed. This reads all rows of other clusters, because their transaction ids come in no order.
pub fn exists_in(client: &SpiClient, segment: usize, through: &Snapshot) -> Result<bool> {
    let table = format!("staging_{segment}");
    if Unfolded::of_spans(window::unconsumed(through, None, None), None).exist_in(client, &table)? {
        return Ok(true);
    }
    let is_pending = |other: &str| {
        format!(
            "EXISTS (SELECT FROM litellm_spend.{table} s LEFT JOIN litellm_spend.fold_cursor c USING (origin)
                     WHERE s.origin {other} $1
                       AND (c.origin IS NULL OR NOT pg_catalog.pg_visible_in_snapshot(s.xid, c.folded_through)))"
        )
    };
    let query = format!("SELECT {} OR {}", is_pending("<"), is_pending(">"));
    Ok(client.select(&query, Some(1), &[cluster_id::this_database().into()])?.first().get(1)? != Some(false))
}

/// The rows of this database in some spans. Each span is an index range.
struct Unfolded {
    /// The conditions on a row `s`, one for each range.
    ranges: Vec<String>,
    arguments: Vec<DatumWithOid<'static>>,
}

impl Unfolded {
    /// The rows that the cursor has not consumed and that `seen` sees. Rows of transactions that are still running are
    /// not read, however many there are.
    fn ended(cursor: &Cursor, seen: &Snapshot) -> Self {
        let spans = window::unconsumed(&cursor.through, cursor.window.as_ref(), cursor.position);
        Self::of_spans(spans, Some(seen))
    }

    /// The rows in these spans. Rows of the running transaction are included unless `seen` is given.
    fn of_spans(spans: Vec<Span>, seen: Option<&Snapshot>) -> Self {
        let mut unfolded = Unfolded { ranges: Vec::new(), arguments: vec![cluster_id::this_database().into()] };
        let mut whole = Vec::new();
        for span in spans {
            match span {
                Span::Transaction { xid, .. } if seen.is_some_and(|seen| !seen.sees(xid)) => {}
                Span::Transaction { xid, after } if after < 0 => whole.push(xid),
                Span::Transaction { xid, after } => {
                    let (xid, after) = (unfolded.bind(xid.to_string()), unfolded.bind(after));
                    unfolded
                        .ranges
                        .push(format!("s.xid = {xid}::pg_catalog.text::pg_catalog.xid8 AND s.seq > {after}"));
                }
                Span::Range { after, below, except } => unfolded.add_range(after, below, &except, seen),
            }
        }
        if !whole.is_empty() {
            let whole = unfolded.bind(texts(&whole));
            unfolded.ranges.push(format!("s.xid = ANY ({whole}::pg_catalog.text[]::pg_catalog.xid8[])"));
        }
        unfolded
    }

    fn add_range(&mut self, (xid, seq): Position, below: u64, except: &[u64], seen: Option<&Snapshot>) {
        let below = seen.map_or(below, |seen| below.min(seen.xmax()));
        if xid >= below {
            return;
        }
        let except: Vec<u64> = except.iter().chain(seen.iter().flat_map(|seen| seen.in_progress())).copied().collect();
        let (xid, seq) = (self.bind(xid.to_string()), self.bind(seq));
        let (below, except) = (self.bind(below.to_string()), self.bind(texts(&except)));
        self.ranges.push(format!(
            "(s.xid, s.seq) > ({xid}::pg_catalog.text::pg_catalog.xid8, {seq})
             AND s.xid < {below}::pg_catalog.text::pg_catalog.xid8
             AND s.xid <> ALL ({except}::pg_catalog.text[]::pg_catalog.xid8[])"
        ));
    }

    fn bind(&mut self, argument: impl Into<DatumWithOid<'static>>) -> String {
        self.arguments.push(argument.into());
        format!("${}", self.arguments.len())
    }

    /// The query for the rows in a table or view of `litellm_spend`.
    fn rows_of(&self, relation: &str) -> String {
        let of_range = |range: &String| {
            format!("SELECT s.staged_at FROM litellm_spend.{relation} s WHERE s.origin = $1 AND {range}")
        };
        let nothing = "SELECT NULL::pg_catalog.timestamptz AS staged_at WHERE $1 IS NULL".to_owned();
        std::iter::once(nothing).chain(self.ranges.iter().map(of_range)).collect::<Vec<_>>().join(" UNION ALL ")
    }

    fn exist_in(&self, client: &SpiClient, relation: &str) -> Result<bool> {
        let query = format!("SELECT EXISTS ({})", self.rows_of(relation));
        Ok(client.select(&query, Some(1), &self.arguments)?.first().get(1)?.unwrap_or(false))
    }
}

fn texts(xids: &[u64]) -> Vec<String> {
    xids.iter().map(u64::to_string).collect()
}

/// The current snapshot. Taking it needs no transaction id.
fn current_snapshot(client: &SpiClient) -> Result<Snapshot> {
    let found = client.select("SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text", Some(1), &[])?;
    Ok(found.first().get::<String>(1)?.unwrap_or_default().parse()?)
}
