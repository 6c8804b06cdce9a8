//! The room of a batch: how many rows it holds and how large they are, so that its memory is bounded. The bounds of a
//! record apply here again, because a row may come from an older version, a restore or replication.

use litellm_spend_core::allowed::bounds::{self, Bounds};

use crate::postgres::headroom;
use crate::postgres::jsonb::{Jsonb, Toasted};
use crate::settings;

/// Bytes of a batch for each JSON value that the batch may hold. A decoded value takes up to 48 bytes, so all values
/// together take at most three times the bytes of the batch. A usual record has one value for 20 bytes.
const BYTES_OF_VALUE: usize = 16;
/// A row with more names (tags, tools and access groups) than this takes the room of one more row for each
/// `NAMES_OF_ROW` names. Each name is one or two rows of LiteLLM's tables, and as many sums that the fold has in
/// memory.
const USUAL_NAMES: usize = 16;
const NAMES_OF_ROW: usize = 4;
/// Bytes of memory for the sums of one row: what it adds to at most eight rows of LiteLLM's tables, and as much again
/// to write them.
const BYTES_OF_SUMS: usize = 8 << 10;

/// The room that is left in a batch.
pub struct Room {
    rows: usize,
    bytes: usize,
    values: usize,
    /// The bounds of each record.
    bounds: Bounds,
    taken: Taken,
}

/// The room that the rows of the batch take already.
#[derive(Default)]
struct Taken {
    rows: usize,
    bytes: usize,
    values: usize,
}

impl Room {
    /// Room for `rows` rows, and for the bytes that `litellm_spend.batch_size` allows.
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

    /// Whether a row fits. This is known before the row is read into memory. A row that is larger than the whole room
    /// forms its own batch.
    pub fn has_room_for(&self, payload: &Toasted) -> bool {
        self.taken.rows == 0 || payload.bytes() <= self.bytes
    }

    /// Reads a payload into memory, clamped to the bounds of a record.
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

    /// Raises an error if there is not enough memory to count the rows that were taken.
    pub fn require_memory(&self) {
        headroom::require(self.taken.bytes, self.taken.values, self.taken.rows * BYTES_OF_SUMS);
    }
}
