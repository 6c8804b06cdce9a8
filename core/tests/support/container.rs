//! Writes jsonb's binary form, for tests that need a well-formed container to damage or to read back. Whether
//! Postgres writes the same is tested in the server (`src/tests.rs`).

use litellm_spend_core::json::Json;

const IS_SCALAR: u32 = 0x1000_0000;
const IS_OBJECT: u32 = 0x2000_0000;
const IS_ARRAY: u32 = 0x4000_0000;
const HAS_OFFSET: u32 = 0x8000_0000;
/// Every so many entries hold an end offset in place of a length.
const OFFSET_STRIDE: usize = 32;
/// The reader's bound.
const DEEPEST: usize = 100;

/// The container that follows a jsonb's varlena header. A float that is not finite is written as 0.
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
        Json::Int(number) => (0x1000_0000, numeric(&number.to_string())),
        Json::Float(number) if number.is_finite() => (0x1000_0000, numeric(&format!("{number}"))),
        Json::Float(_) => (0x1000_0000, numeric("0")),
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

/// A numeric with a four-byte varlena header and the long form of its own, of a decimal without an exponent.
fn numeric(decimal: &str) -> Vec<u8> {
    let (sign, magnitude) = decimal.strip_prefix('-').map_or((0, decimal), |magnitude| (0x4000u16, magnitude));
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    // Digits of base 10000 on either side of the point.
    let padded = format!("{}{whole}{fraction}{}", "0".repeat(padding(whole)), "0".repeat(padding(fraction)));
    let all = padded.as_bytes().chunks(4).map(|four| four.iter().fold(0, |digit, c| digit * 10 + u16::from(c - b'0')));
    let mut digits: Vec<u16> = all.collect();
    digits.truncate(digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1));
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let weight = (whole.len().div_ceil(4) as i16 - 1 - zeros as i16) as u16;
    let halves = [sign, weight].into_iter().chain(digits.into_iter().skip(zeros));
    let body: Vec<u8> = halves.flat_map(u16::to_ne_bytes).collect();
    let total = body.len() as u32 + 4;
    let header = if cfg!(target_endian = "little") { total << 2 } else { total };
    [header.to_ne_bytes().to_vec(), body].concat()
}

fn padding(digits: &str) -> usize {
    digits.len().next_multiple_of(4) - digits.len()
}

/// What the reader makes of a document that was written here: jsonb's numbers do not tell 1.0 from 1 nor have a
/// negative zero, and what is nested too deep is null.
pub fn as_read<'a>(json: &Json<'a>, depth: usize) -> Json<'a> {
    match json {
        // As it is written above: its shortest decimal, which among large whole numbers is not its exact value.
        Json::Float(number) => format!("{number}").parse().map_or(Json::Float(*number), Json::Int),
        Json::Array(_) | Json::Object(_) if depth > DEEPEST => Json::Null,
        Json::Array(items) => Json::Array(items.iter().map(|item| as_read(item, depth + 1)).collect()),
        Json::Object(members) => {
            Json::Object(members.iter().map(|(key, value)| (key.clone(), as_read(value, depth + 1))).collect())
        }
        scalar => scalar.clone(),
    }
}
