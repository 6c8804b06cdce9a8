//! Writes `Json` in PostgreSQL's binary form of jsonb. The bytes are those that `jsonb_in` creates from the document's
//! text (src/backend/utils/adt/jsonb_util.c, convertJsonbValue), but no text is written.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{
    ENTRY_CONTAINER, ENTRY_FALSE, ENTRY_HAS_OFFSET, ENTRY_LENGTH_MASK, ENTRY_NULL, ENTRY_NUMERIC, ENTRY_STRING,
    ENTRY_TRUE, IS_ARRAY, IS_OBJECT, IS_SCALAR,
};
use crate::json::Json;
use crate::numeric::write;

/// A capacity that is enough for most documents of a record.
const USUAL_SIZE: usize = 1024;
/// One entry in this many holds the offset at which its bytes end in place of their length (JB_OFFSET_STRIDE).
const OFFSET_STRIDE: usize = 32;
/// The most items of an array and members of an object. Postgres's parser doubles the room for items (32 bytes each)
/// and members (72 bytes each), up to 1 GB.
const MOST_ITEMS: usize = 1 << 24;
const MOST_MEMBERS: usize = 1 << 23;
/// How many levels of nesting are written. No text with more levels is read (serde_json's limit), and recursion must
/// end before the stack does.
const MOST_LEVELS: usize = 127;

type Member<'a> = (Cow<'a, str>, Json<'a>);

/// The container that follows a jsonb's varlena header. The last of duplicate keys counts, and a number that is not
/// finite becomes null, as in the document's text.
///
/// Returns `None` for a document that jsonb cannot hold: a string or a container of more than 268,435,455 bytes, more
/// than 16,777,216 items in an array or 8,388,608 members in an object (duplicates included), or a U+0000. It also
/// returns `None` for more than 127 levels of nesting.
pub fn write(json: &Json) -> Option<Vec<u8>> {
    let mut container = Vec::with_capacity(USUAL_SIZE);
    append(json, &mut container)?;
    Some(container)
}

/// Appends the container that [`write()`] would return to the buffer. If there is none, it returns `None` and leaves
/// the buffer as it was.
pub fn append(json: &Json, buffer: &mut Vec<u8>) -> Option<()> {
    let start = buffer.len();
    let written = Writer { buffer: &mut *buffer, start }.document(json);
    if written.is_none() {
        buffer.truncate(start);
    }
    written
}

struct Writer<'b> {
    buffer: &'b mut Vec<u8>,
    /// The position at which the document starts.
    start: usize,
}

impl Writer<'_> {
    fn document(&mut self, json: &Json) -> Option<()> {
        match json {
            Json::Array(items) => self.array(IS_ARRAY, items, 1)?,
            Json::Object(members) => self.object(members, 1)?,
            scalar => self.array(IS_ARRAY | IS_SCALAR, std::slice::from_ref(scalar), 1)?,
        }
        self.length_since(self.start).map(drop)
    }

    fn array(&mut self, header: u32, items: &[Json], level: usize) -> Option<()> {
        if items.len() > MOST_ITEMS {
            return None;
        }
        let mut entries = self.begin(header, items.len(), items.len(), level)?;
        for item in items {
            let kind = self.value(item, level)?;
            self.end_child(&mut entries, kind)?;
        }
        Some(())
    }

    fn object(&mut self, members: &[Member], level: usize) -> Option<()> {
        if members.len() > MOST_MEMBERS {
            return None;
        }
        if members.is_sorted_by(|(one, _), (next, _)| compare_keys(one, next).is_lt()) {
            return self.members(members.iter(), level);
        }
        let mut ordered: Vec<&Member> = members.iter().collect();
        // The sort is stable, so duplicates stay in their order.
        ordered.sort_by(|(one, _), (other, _)| compare_keys(one, other));
        ordered.dedup_by(|next, kept| {
            let is_duplicate = next.0 == kept.0;
            if is_duplicate {
                *kept = *next;
            }
            is_duplicate
        });
        self.members(ordered.into_iter(), level)
    }

    /// Writes an object whose members are in jsonb's order: all keys, then all values.
    fn members<'m, 'j: 'm>(
        &mut self,
        members: impl ExactSizeIterator<Item = &'m Member<'j>> + Clone,
        level: usize,
    ) -> Option<()> {
        let mut entries = self.begin(IS_OBJECT, members.len(), 2 * members.len(), level)?;
        for (key, _) in members.clone() {
            self.text(key)?;
            self.end_child(&mut entries, ENTRY_STRING)?;
        }
        for (_, value) in members {
            let kind = self.value(value, level)?;
            self.end_child(&mut entries, kind)?;
        }
        Some(())
    }

    /// Writes the bytes of a child of a container on this level. Returns the type for its entry.
    fn value(&mut self, json: &Json, level: usize) -> Option<u32> {
        Some(match json {
            Json::Null => ENTRY_NULL,
            Json::Bool(false) => ENTRY_FALSE,
            Json::Bool(true) => ENTRY_TRUE,
            Json::Int(number) => {
                self.align();
                write::int(*number, self.buffer);
                ENTRY_NUMERIC
            }
            Json::Float(number) if !number.is_finite() => ENTRY_NULL,
            Json::Float(number) => {
                self.align();
                write::float(*number, self.buffer)?;
                ENTRY_NUMERIC
            }
            Json::Numeric(numeric) => {
                self.align();
                self.buffer.extend_from_slice(numeric);
                ENTRY_NUMERIC
            }
            Json::Str(text) => {
                self.text(text)?;
                ENTRY_STRING
            }
            Json::Array(items) => {
                self.align();
                self.array(IS_ARRAY, items, level + 1)?;
                ENTRY_CONTAINER
            }
            Json::Object(members) => {
                self.align();
                self.object(members, level + 1)?;
                ENTRY_CONTAINER
            }
        })
    }

    fn text(&mut self, text: &str) -> Option<()> {
        if has_nul(text) {
            return None;
        }
        self.buffer.extend_from_slice(text.as_bytes());
        Some(())
    }

    /// Starts a container with room for its entries.
    fn begin(&mut self, header: u32, count: usize, entries: usize, level: usize) -> Option<Entries> {
        if level > MOST_LEVELS {
            return None;
        }
        self.buffer.extend_from_slice(&(header | u32::try_from(count).ok()?).to_ne_bytes());
        let next = self.buffer.len();
        let data = next + 4 * entries;
        self.buffer.resize(data, 0);
        Some(Entries { next, index: 0, data, end: data })
    }

    /// Writes the entry of the child whose bytes, including their padding, have just been written.
    fn end_child(&mut self, entries: &mut Entries, kind: u32) -> Option<()> {
        let length = if entries.index.is_multiple_of(OFFSET_STRIDE) {
            ENTRY_HAS_OFFSET | self.length_since(entries.data)?
        } else {
            self.length_since(entries.end)?
        };
        self.buffer.get_mut(entries.next..entries.next + 4)?.copy_from_slice(&(kind | length).to_ne_bytes());
        entries.next += 4;
        entries.index += 1;
        entries.end = self.buffer.len();
        Some(())
    }

    /// How many bytes have been written since the buffer had `start` bytes; `None` if an entry of jsonb cannot hold
    /// that number.
    fn length_since(&self, start: usize) -> Option<u32> {
        u32::try_from(self.buffer.len() - start).ok().filter(|length| *length <= ENTRY_LENGTH_MASK)
    }

    /// Pads the document to a multiple of four, because numerics and containers begin at one.
    fn align(&mut self) {
        while !(self.buffer.len() - self.start).is_multiple_of(4) {
            self.buffer.push(0);
        }
    }
}

/// The entries of a container. Each is written when its child ends.
struct Entries {
    /// The position of the next entry.
    next: usize,
    index: usize,
    /// The position at which the children's bytes start.
    data: usize,
    /// The position at which the bytes of the last child end.
    end: usize,
}

/// Checks all bytes, many at a time. Most texts have few bytes, for which this is faster than to stop at the first NUL.
fn has_nul(text: &str) -> bool {
    text.bytes().fold(false, |found, byte| found | (byte == 0))
}

/// Compares the keys of an object in jsonb's order: shorter keys first, then byte by byte.
fn compare_keys(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.as_bytes().cmp(other.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Vec<u8> {
        write(&Json::from_text(text).unwrap()).unwrap()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn members_are_ordered_and_what_is_no_text_is_aligned() {
        let expected = [
            words(&[0x2000_0004]),
            words(&[0x8000_0001, 1, 1, 2, 1, 0x5000_0006, 0x2000_0000, 0x1000_0008]),
            b"bcdabx\0\0".to_vec(),
            words(&[0x4000_0000, if cfg!(target_endian = "little") { 8 << 2 } else { 8 }]),
            [0x8000u16, 7].iter().flat_map(|half| half.to_ne_bytes()).collect(),
        ];
        assert_eq!(written(r#"{"ab":7,"d":false,"c":[],"b":"x"}"#), expected.concat());
    }

    #[test]
    fn a_scalar_is_an_array_of_one() {
        assert_eq!(written("null"), words(&[0x5000_0001, 0xC000_0000]));
        assert_eq!(written(r#""four""#), [words(&[0x5000_0001, 0x8000_0004]), b"four".to_vec()].concat());
        assert_eq!(write(&Json::Float(f64::INFINITY)), write(&Json::Null));
    }

    #[test]
    fn every_32nd_entry_holds_where_its_bytes_end() {
        let items = vec![Json::Str(Cow::Borrowed("xyz")); 65];
        let entries = (0..65).map(|index| if index % 32 == 0 { 0x8000_0000 | (3 * (index + 1)) } else { 3 });
        let expected = words(&[0x4000_0041].into_iter().chain(entries).collect::<Vec<_>>());
        assert_eq!(write(&Json::Array(items)), Some([expected, b"xyz".repeat(65)].concat()));
    }

    #[test]
    fn of_duplicate_keys_the_last_one_counts() {
        assert_eq!(written(r#"{"a":1,"b":2,"a":[],"b":3,"b":4,"a":5}"#), written(r#"{"a":5,"b":4}"#));
    }

    #[test]
    fn what_jsonb_cannot_hold_is_refused_and_leaves_nothing_behind() {
        let nested = |levels| (0..levels).fold(Json::Null, |inner, _| Json::Array(vec![inner]));
        let refused = [
            Json::Str(Cow::Borrowed("nul \0")),
            Json::Object(vec![(Cow::Borrowed("\0"), Json::Null)]),
            Json::Array(vec![Json::Int(1), nested(127)]),
        ];
        for json in refused {
            let mut buffer = vec![1, 2, 3];
            assert_eq!(append(&json, &mut buffer), None);
            assert_eq!(buffer, [1, 2, 3]);
        }
        assert!(write(&nested(127)).is_some());
    }

    #[test]
    fn no_container_is_longer_than_an_entry_can_say() {
        let mut buffer = vec![0; 1 << 28];
        let writer = Writer { buffer: &mut buffer, start: 0 };
        assert_eq!((writer.length_since(0), writer.length_since(1)), (None, Some(0x0FFF_FFFF)));
    }
}
