//! Scans JSON text without building anything: how many values it has, how deep it nests, and where its parts begin and
//! end. The memory for it does not grow with the text.

use serde::de::IgnoredAny;

use super::Json;

/// How many levels of nesting are read (serde_json's limit).
const MOST_LEVELS: usize = 127;

/// What reading a text would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// The most values that the text has, including those within arrays and objects.
    pub values: usize,
    /// How many levels deep arrays and objects nest.
    pub levels: usize,
}

/// The outline of a text, which need not be JSON.
pub fn outline(text: &str) -> Outline {
    outline_of(text.bytes())
}

/// The outline of the JSON text that a JSON string holds. `string` is the content of the string with its escapes.
pub fn outline_of_escaped(string: &str) -> Outline {
    let mut bytes = string.bytes();
    outline_of(std::iter::from_fn(move || {
        let byte = bytes.next()?;
        if byte != b'\\' {
            return Some(byte);
        }
        Some(match bytes.next()? {
            quote_or_backslash @ (b'"' | b'\\') => quote_or_backslash,
            b'u' => unescaped(&mut bytes),
            _ => b' ',
        })
    }))
}

/// The character of `\uXXXX`, from the bytes that follow the `u`. A character that is not ASCII becomes `x`.
fn unescaped(bytes: &mut impl Iterator<Item = u8>) -> u8 {
    let digits = bytes.take(4).map(|digit| char::from(digit).to_digit(16).unwrap_or(0));
    let code = digits.fold(0, |code, digit| code * 16 + digit);
    u8::try_from(code).ok().filter(u8::is_ascii).unwrap_or(b'x')
}

fn outline_of(bytes: impl Iterator<Item = u8>) -> Outline {
    let (mut values, mut level, mut levels) = (1usize, 0usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in bytes {
        if in_string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b',' => values += 1,
            b'[' | b'{' => {
                values += 1;
                level += 1;
                levels = levels.max(level);
            }
            b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    Outline { values, levels }
}

/// Whether the text is JSON and nests no deeper than is read. A number may still be out of range, and a string may
/// still hold half of a surrogate pair.
pub fn is_json(text: &str) -> bool {
    // The levels are checked first, because serde takes memory for each.
    outline(text).levels <= MOST_LEVELS && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The first byte that is not white space.
pub fn first_byte(text: &str) -> Option<u8> {
    text.bytes().find(|byte| !is_space(*byte))
}

/// The text of each item of an array. `array` must satisfy `is_json`; from any other text the pieces may be anything.
pub fn items(array: &str) -> Parts<'_> {
    Parts::of(array, b'[')
}

/// The key and the value of each member of an object, as text. The key is `None` if it has more than `longest_key`
/// bytes. `object` must satisfy `is_json`.
pub fn members(object: &str, longest_key: usize) -> impl Iterator<Item = (Option<String>, &str)> {
    Parts::of(object, b'{').filter_map(move |member| {
        let end = string_end(member.as_bytes(), 0);
        let (key, rest) = (member.get(..end)?, member.get(end..)?);
        let value = trimmed(trimmed(rest).strip_prefix(':')?);
        // Each byte of a key may be written as \u00XX.
        let is_short = key.len() <= 2 + 6 * longest_key;
        let key = match is_short.then(|| Json::from_text(key)) {
            Some(Ok(Json::Str(key))) => Some(key.into_owned()),
            _ => None,
        };
        Some((key, value))
    })
}

/// The texts between the commas of an array or an object.
#[derive(Debug, Clone)]
pub struct Parts<'t> {
    rest: &'t str,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str, opening: u8) -> Self {
        let text = trimmed(text);
        let is_of_kind = text.as_bytes().first() == Some(&opening);
        Parts { rest: if is_of_kind { trimmed(&text[1..]) } else { "" } }
    }
}

impl<'t> Iterator for Parts<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        if matches!(self.rest.as_bytes().first(), None | Some(b']' | b'}')) {
            self.rest = "";
            return None;
        }
        let end = part_end(self.rest.as_bytes());
        let (part, rest) = self.rest.split_at(end);
        // The rest follows the comma. Nothing follows the bracket that ends the whole.
        self.rest = rest.strip_prefix(',').map_or("", trimmed);
        Some(trimmed(part))
    }
}

/// The position of the comma or bracket that ends a part.
fn part_end(bytes: &[u8]) -> usize {
    let (mut at, mut level) = (0, 0usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'[' | b'{' => level += 1,
            b',' if level == 0 => return at,
            b']' | b'}' if level == 0 => return at,
            b']' | b'}' => level -= 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// The position after the closing quote of the string that starts at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The text without JSON's white space around it.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_document() {
        let text = r#" [ {"a":[1,2],"b":"x,]\"}"} , [] ,-1.5e3,"]\\",null ] "#;
        assert!(is_json(text));
        let parts: Vec<&str> = items(text).collect();
        assert_eq!(parts, [r#"{"a":[1,2],"b":"x,]\"}"}"#, "[]", "-1.5e3", r#""]\\""#, "null"]);
        assert_eq!(items(" [ ] ").count() + items("{}").count() + items("").count(), 0);
        let named: Vec<_> = members(r#"{ "\u0061b" : [1,{}], "long":2,"c":"," }"#, 3).collect();
        assert_eq!(
            named,
            [(Some("ab".to_owned()), "[1,{}]"), (Some("long".to_owned()), "2"), (Some("c".to_owned()), r#"",""#)]
        );
        assert_eq!(members(&format!(r#"{{"{}":1}}"#, "k".repeat(100)), 3).collect::<Vec<_>>(), [(None, "1")]);
    }

    #[test]
    fn an_outline_bounds_what_is_read() {
        assert_eq!(outline(r#"{"a":[1,"x,[",3],"b":{}}"#), Outline { values: 7, levels: 2 });
        assert_eq!(outline_of_escaped(r#"{\"a\":[1,\"x,[\",3],\"b\\\"[\":\u005b]}"#), Outline { values: 7, levels: 2 });
        assert!(!is_json(&"[".repeat(1000)) && !is_json("[1,2") && !is_json("{\"a\"}") && !is_json(""));
    }
}
