//! Writes jsonb's binary form, for tests that need a well-formed container to damage or to read back. Whether
//! Postgres writes the same is tested in the server (`src/tests.rs`).

use litellm_spend_core::json::Json;

const IS_SCALAR: u32 = 0x1000_0000;
const IS_OBJECT: u32 = 0x2000_0000;
const IS_ARRAY: u32 = 0x4000_0000;
const HAS_OFFSET: u32 = 0x8000_0000;
/// Every so many entries hold an end offset in place of a length.
const OFFSET_STRIDE: usize = 32;

/// The container that follows a jsonb's varlena header. Floats are written as 0: their digits are of no matter
/// to the form.
pub fn container(json: &Json) -> Vec<u8> {
    match json {
        Json::Array(items) => of_children(IS_ARRAY, items.len(), items.iter().map(child)),
        Json::Object(members) => {
            let keys = members.iter().map(|(key, _)| (0, key.as_bytes().to_vec()));
            of_children(IS_OBJECT, members.len(), keys.chain(members.iter().map(|(_, value)| child(value))))
        }
        scalar => of_children(IS_ARRAY | IS_SCALAR, 1, std::iter::once(child(scalar))),
    }
}

fn child(json: &Json) -> (u32, Vec<u8>) {
    match json {
        Json::Str(text) => (0, text.as_bytes().to_vec()),
        Json::Int(number) => (0x1000_0000, numeric(*number)),
        Json::Float(_) => (0x1000_0000, numeric(0)),
        Json::Bool(false) => (0x2000_0000, Vec::new()),
        Json::Bool(true) => (0x3000_0000, Vec::new()),
        Json::Null => (0x4000_0000, Vec::new()),
        Json::Array(_) | Json::Object(_) => (0x5000_0000, container(json)),
    }
}

fn of_children(kind: u32, count: usize, children: impl Iterator<Item = (u32, Vec<u8>)>) -> Vec<u8> {
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (index, (kind, bytes)) in children.enumerate() {
        let start = data.len();
        if matches!(kind, 0x1000_0000 | 0x5000_0000) {
            data.resize(start.next_multiple_of(4), 0);
        }
        data.extend(bytes);
        let entry =
            if index % OFFSET_STRIDE == 0 { HAS_OFFSET | data.len() as u32 } else { (data.len() - start) as u32 };
        entries.extend((entry | kind).to_ne_bytes());
    }
    [(kind | count as u32).to_ne_bytes().to_vec(), entries, data].concat()
}

/// A numeric with a four-byte varlena header and the long form of its own.
fn numeric(number: i64) -> Vec<u8> {
    let mut digits = Vec::new();
    let mut rest = number.unsigned_abs();
    while rest > 0 {
        digits.insert(0, (rest % 10_000) as u16);
        rest /= 10_000;
    }
    let sign: u16 = if number < 0 { 0x4000 } else { 0 };
    let weight = digits.len().saturating_sub(1) as u16;
    let halves = [sign, weight].into_iter().chain(digits);
    let body: Vec<u8> = halves.flat_map(u16::to_ne_bytes).collect();
    let total = body.len() as u32 + 4;
    let header = if cfg!(target_endian = "little") { total << 2 } else { total };
    [header.to_ne_bytes().to_vec(), body].concat()
}
