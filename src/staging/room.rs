//! The room of a batch: how many rows it holds, and how large ones, so that what it takes of memory is bounded. The
//! bounds of a record hold here once more: a row may have been staged by an older version, restored or replicated.

use litellm_spend_core::allowed::bounds::{self, Bounds};

use crate::postgres::headroom;
use crate::postgres::jsonb::{Jsonb, Toasted};
use crate::settings;

/// Values that a batch may hold for each of its bytes: decoded, each takes up to 48 bytes, and all of them as much as
/// three times the batch. A record has one for 20 bytes.
const BYTES_OF_VALUE: usize = 16;
/// A row with more tags, tools and access groups takes the room of another row for each `NAMES_OF_ROW` of them: each is
/// a row or two of LiteLLM's tables, and so of the sums that the fold has in memory.
const USUAL_NAMES: usize = 16;
const NAMES_OF_ROW: usize = 4;
/// Of a row: what it adds to eight rows of LiteLLM's tables at most, and as much again to write them.
const BYTES_OF_SUMS: usize = 8 << 10;

/// What a batch may still hold.
pub struct Room {
    rows: usize,
    bytes: usize,
    values: usize,
    /// Of each record.
    bounds: Bounds,
    taken: Taken,
}

/// What it holds already.
#[derive(Default)]
struct Taken {
    rows: usize,
    bytes: usize,
    values: usize,
}

impl Room {
    /// Room for so many rows, and for their bytes.
    pub fn of(rows: usize) -> Self {
        let bytes = settings::batch_bytes();
        let values = bytes / BYTES_OF_VALUE;
        Room { rows, bytes, values, bounds: settings::record_bounds(), taken: Taken::default() }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn is_full(&self) -> bool {
        self.rows == 0 || self.bytes == 0 || self.values == 0
    }

    /// Whether a row fits, which is known before it is brought into memory. A row that is larger than all the room
    /// is a batch of its own.
    pub fn has_room_for(&self, payload: &Toasted) -> bool {
        self.taken.rows == 0 || payload.bytes() <= self.bytes
    }

    /// Brings a payload into memory, or what its bounds leave of it.
    pub fn take(&mut self, payload: &Toasted) -> Jsonb {
        headroom::require_for_record(payload.bytes(), self.bounds);
        self.bytes = self.bytes.saturating_sub(payload.bytes());
        let payload = payload.detoast();
        let payload = match bounds::cut(&payload, self.bounds) {
            Ok(Some(json)) => Jsonb::from_json(&json).unwrap_or_else(Jsonb::unreadable),
            Ok(None) => payload.to_jsonb(),
            Err(_) if payload.len() <= self.bounds.bytes => payload.to_jsonb(),
            Err(_) => Jsonb::unreadable(),
        };
        let weight = bounds::weigh(payload.bytes());
        let rows = 1 + weight.names.saturating_sub(USUAL_NAMES) / NAMES_OF_ROW;
        self.values = self.values.saturating_sub(weight.values);
        self.rows = self.rows.saturating_sub(rows);
        self.taken.rows += rows;
        self.taken.bytes += payload.bytes().len();
        self.taken.values += weight.values;
        payload
    }

    /// Raises an error unless there is memory to count what was taken.
    pub fn require_memory(&self) {
        headroom::require(self.taken.bytes, self.taken.values, self.taken.rows * BYTES_OF_SUMS);
    }
}
