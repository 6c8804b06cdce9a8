//! Names that occur in many records, each kept once. Sums are found by small numbers, and only a new name costs memory.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The number of a name in one [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Name(u32);

impl Name {
    /// The name of the empty text.
    pub const EMPTY: Name = Name(0);

    /// Whether this is the name of the empty text.
    pub fn is_empty(self) -> bool {
        self == Name::EMPTY
    }
}

/// A set of distinct names.
#[derive(Debug)]
pub struct Names {
    /// The texts of all names, one after the other.
    texts: String,
    /// The position at which each text ends.
    ends: Vec<usize>,
    by_text: HashTable<Name>,
    /// Seeded anew for each set, because clients choose the names.
    hasher: DefaultHashBuilder,
}

impl Default for Names {
    fn default() -> Self {
        Names { texts: String::new(), ends: vec![0], by_text: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }
}

impl Names {
    /// The name of this text. A new text is added.
    pub fn intern(&mut self, text: &str) -> Name {
        if text.is_empty() {
            return Name::EMPTY;
        }
        let Names { texts, ends, by_text, hasher } = self;
        let hash = hasher.hash_one(text);
        if let Some(known) = by_text.find(hash, |known| text_of(texts, ends, *known) == text) {
            return *known;
        }
        let Ok(number) = u32::try_from(ends.len()) else { unreachable!("a fold ends at far fewer names") };
        texts.push_str(text);
        ends.push(texts.len());
        by_text.insert_unique(hash, Name(number), |known| hasher.hash_one(text_of(texts, ends, *known)));
        Name(number)
    }

    /// The text of a name.
    pub fn text(&self, name: Name) -> &str {
        text_of(&self.texts, &self.ends, name)
    }

    /// How many bytes all texts take.
    pub fn bytes(&self) -> usize {
        self.texts.len()
    }
}

fn text_of<'n>(texts: &'n str, ends: &[usize], Name(number): Name) -> &'n str {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &texts[start..ends[number]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_name_and_a_name_one_text() {
        let mut names = Names::default();
        let texts: Vec<String> = (0..2000).map(|n| format!("user-{n}")).collect();
        let given: Vec<Name> = texts.iter().map(|text| names.intern(text)).collect();
        let again: Vec<Name> = texts.iter().rev().map(|text| names.intern(text)).rev().collect();
        assert_eq!(given, again);
        assert!(texts.iter().zip(&given).all(|(text, name)| names.text(*name) == text));
        assert_eq!(names.bytes(), texts.concat().len());
    }

    #[test]
    fn the_empty_name_is_there_from_the_start() {
        let mut names = Names::default();
        assert_eq!(names.text(Name::EMPTY), "");
        let ue = names.intern("\u{fc}");
        assert_eq!((names.intern(""), names.text(ue)), (Name::EMPTY, "\u{fc}"));
    }
}
