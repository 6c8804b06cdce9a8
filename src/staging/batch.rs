//! Reads one batch of staged rows, limited in rows and in bytes (invariant 4).

use std::collections::BTreeSet;

use litellm_spend_core::snapshot::window::{Position, Span};
use pgrx::datum::DatumWithOid;
use pgrx::spi::{SpiClient, SpiTupleTable};

use super::cluster_id;
use super::room::Room;
use crate::error::Result;
use crate::postgres::jsonb::{Jsonb, Toasted};

/// A staged row.
pub struct Row {
    pub position: Position,
    pub segment: i16,
    pub payload: Jsonb,
}

/// Staged rows in the order of the cursor.
pub struct Batch {
    pub rows: Vec<Row>,
    /// Whether the window holds no more rows.
    pub is_last: bool,
}

/// What a fold has read.
#[derive(Debug, Default)]
pub struct Consumed {
    pub rows: usize,
    /// How many of these rows were not counted, because they need rows that another session holds.
    pub left_out: usize,
    /// The position of the last row.
    pub position: Option<Position>,
    /// Whether the window holds no more rows.
    pub is_last: bool,
    pub segments: BTreeSet<i16>,
}

impl Consumed {
    pub fn add(&mut self, batch: &Batch) {
        self.rows += batch.rows.len();
        self.position = batch.rows.last().map(|row| row.position).or(self.position);
        self.is_last = batch.is_last;
        self.segments.extend(batch.rows.iter().map(|row| row.segment));
    }
}

/// Most neighbours of a row that are read on each side.
const NEIGHBOURS: usize = 100;
/// Rows that are fetched at a time. A small number makes a batch stop soon after it reaches its limit in bytes.
const CHUNK: usize = 500;

// ORDER BY uses `s.xid` and not `xid`. `xid` would be the output column, which is text and sorts in the wrong order.
const OF_TRANSACTION: &str = "SELECT s.xid::pg_catalog.text, s.seq, s.segment, s.payload FROM litellm_spend.staging s
    WHERE s.origin = $1 AND s.xid = $2::pg_catalog.text::pg_catalog.xid8 AND s.seq > $3
    ORDER BY s.xid, s.seq";
const OF_RANGE: &str = "SELECT s.xid::pg_catalog.text, s.seq, s.segment, s.payload FROM litellm_spend.staging s
    WHERE s.origin = $1 AND (s.xid, s.seq) > ($2::pg_catalog.text::pg_catalog.xid8, $3)
      AND s.xid < $4::pg_catalog.text::pg_catalog.xid8
      AND s.xid <> ALL ($5::pg_catalog.text[]::pg_catalog.xid8[])
    ORDER BY s.xid, s.seq";

/// Reads the first rows of `spans`, at most `rows` rows.
pub fn read(client: &mut SpiClient, spans: &[Span], rows: usize) -> Result<Batch> {
    let mut batch = Batch { rows: Vec::new(), is_last: true };
    let mut room = Room::of(rows);
    for span in spans {
        let (query, arguments) = query_of(span);
        let exhausted = read_span(client, query, &arguments, &mut room, &mut batch)?;
        if !exhausted {
            batch.is_last = false;
            break;
        }
    }
    room.require_memory();
    Ok(batch)
}

fn query_of(span: &Span) -> (&'static str, Vec<DatumWithOid<'static>>) {
    let origin = cluster_id::this_database();
    match span {
        Span::Transaction { xid, after } => {
            (OF_TRANSACTION, vec![origin.into(), xid.to_string().into(), (*after).into()])
        }
        Span::Range { after: (xid, seq), below, except } => {
            let except: Vec<String> = except.iter().map(u64::to_string).collect();
            let bounds =
                [origin.into(), xid.to_string().into(), (*seq).into(), below.to_string().into(), except.into()];
            (OF_RANGE, bounds.into())
        }
    }
}

/// The position of the first row of `spans`. The row's payload is not read.
pub fn first(client: &mut SpiClient, spans: &[Span]) -> Result<Option<Position>> {
    for span in spans {
        let (query, arguments) = query_of(span);
        let mut rows = client.try_open_cursor_mut(query, &arguments)?;
        let found = position_in(rows.fetch(1)?)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The position in the first two columns of the first row: the transaction id as text, and the row's number in the
/// transaction.
pub fn position_in(found: SpiTupleTable) -> Result<Option<Position>> {
    if found.is_empty() {
        return Ok(None);
    }
    let row = found.first();
    let xid: Option<u64> = row.get::<String>(1)?.and_then(|xid| xid.parse().ok());
    Ok(xid.zip(row.get(2)?))
}

/// Rows of this database before and after a position, consumed or not, the nearest first. They are examples of what is
/// recorded.
pub fn neighbours(client: &mut SpiClient, (xid, seq): Position) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (comparison, order) in [(">", "ASC"), ("<", "DESC")] {
        let query = format!(
            "SELECT s.xid::pg_catalog.text, s.seq, s.segment, s.payload FROM litellm_spend.staging s
             WHERE s.origin = $1 AND (s.xid, s.seq) {comparison} ($2::pg_catalog.text::pg_catalog.xid8, $3)
             ORDER BY s.xid {order}, s.seq {order}"
        );
        let mut batch = Batch { rows: Vec::new(), is_last: true };
        let mut room = Room::of(NEIGHBOURS);
        let arguments = [cluster_id::this_database().into(), xid.to_string().into(), seq.into()];
        read_span(client, &query, &arguments, &mut room, &mut batch)?;
        rows.append(&mut batch.rows);
    }
    Ok(rows)
}

/// Appends rows of one span to the batch. Returns false if the batch is full before the span ends.
fn read_span(
    client: &mut SpiClient,
    query: &str,
    arguments: &[DatumWithOid],
    room: &mut Room,
    batch: &mut Batch,
) -> Result<bool> {
    let mut rows = client.try_open_cursor_mut(query, arguments)?;
    loop {
        // The fetch asks for one row more than fits, because that tells a full batch from an exhausted span.
        let wanted = CHUNK.min(room.rows() + 1);
        let chunk = rows.fetch(i64::try_from(wanted).unwrap_or(i64::MAX))?;
        let fetched = chunk.len();
        for row in chunk {
            if room.is_full() {
                return Ok(false);
            }
            let xid: Option<String> = row.get(1)?;
            let (seq, segment): (Option<i32>, Option<i16>) = (row.get(2)?, row.get(3)?);
            let payload: Option<Toasted> = row.get(4)?;
            if let (Some(xid), Some(seq), Some(segment), Some(payload)) =
                (xid.and_then(|xid| xid.parse().ok()), seq, segment, payload)
            {
                if !room.has_room_for(&payload) {
                    return Ok(false);
                }
                batch.rows.push(Row { position: (xid, seq), segment, payload: room.take(&payload) });
            }
        }
        if fetched < wanted {
            return Ok(true);
        }
    }
}
