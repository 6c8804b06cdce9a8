//! Postgres decides what a jsonb means. The server casts texts of every shape to jsonb, our reader reads them, and the
//! tests compare the result with the text that the server shows.

mod documents;
mod writing;

// These tests run in the server, where the test allowances of clippy.toml do not apply.
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#[pgrx::pg_schema]
mod tests {
    use litellm_spend_core::json::Json;
    use litellm_spend_core::{jsonb, numeric};
    use pgrx::prelude::*;

    use super::documents::{Generator, NUMBERS};
    use crate::postgres::jsonb::Jsonb;

    const DOCUMENTS: usize = 1_500;
    /// The reader's own bound. A value that is nested deeper is read as `CUT`.
    const DEEPEST: usize = 100;
    const CUT: &str = "<cut: more than 100 levels>";

    /// The text with each number replaced by its index among the numbers, and the numbers. They are kept apart because
    /// a JSON parser would round them.
    fn numbers_apart(text: &str) -> (String, Vec<&str>) {
        let (mut apart, mut numbers) = (String::new(), Vec::new());
        let (mut rest, mut in_string) = (text, false);
        while let Some(first) = rest.chars().next() {
            let is_number = !in_string && (first == '-' || first.is_ascii_digit());
            let length = match first {
                '\\' if in_string => 2,
                _ if is_number => rest.find([',', ']', '}']).unwrap_or(rest.len()),
                _ => first.len_utf8(),
            };
            let (token, after) = rest.split_at(length);
            if is_number {
                apart.push_str(&numbers.len().to_string());
                numbers.push(token);
            } else {
                apart.push_str(token);
            }
            in_string ^= first == '"';
            rest = after;
        }
        (apart, numbers)
    }

    fn number(literal: &str) -> Json<'static> {
        let (whole, fraction) = literal.split_once('.').unwrap_or((literal, ""));
        match whole.parse() {
            Ok(whole) if fraction.bytes().all(|digit| digit == b'0') => Json::Int(whole),
            _ => {
                let float: f64 = literal.parse().unwrap();
                let exact = without_zeros(literal);
                let is_float = without_zeros(&float.to_string()) == exact || is_long(whole, fraction);
                if is_float { Json::Float(float) } else { Json::Str(exact.into()) }
            }
        }
    }

    /// Whether a number has over 1,000 zeros beyond its digits, counted in groups of four as in numeric.
    fn is_long(whole: &str, fraction: &str) -> bool {
        let whole = whole.trim_start_matches(['-', '0']);
        let before = whole.len().div_ceil(4) * 4;
        let text = format!("{whole:0>before$}{fraction:0<after$}", after = fraction.len().div_ceil(4) * 4);
        let groups: Vec<&[u8]> = text.as_bytes().chunks(4).collect();
        let is_zero = |group: &&&[u8]| group.iter().all(|digit| *digit == b'0');
        let zeros = groups.iter().take_while(is_zero).count() + groups.iter().rev().take_while(is_zero).count();
        before + fraction.len() > 1_000 + 4 * groups.len().saturating_sub(zeros)
    }

    /// A decimal without the zeros at the end of its fraction.
    fn without_zeros(decimal: &str) -> String {
        let is_fraction = decimal.contains('.');
        let short = if is_fraction { decimal.trim_end_matches('0').trim_end_matches('.') } else { decimal };
        short.to_owned()
    }

    /// The document with each `Numeric` replaced by its text.
    fn with_texts(json: Json) -> Json {
        match json {
            Json::Numeric(numeric) => Json::Str(numeric::text_of(&numeric).unwrap().into()),
            Json::Array(items) => Json::Array(items.into_iter().map(with_texts).collect()),
            Json::Object(members) => {
                Json::Object(members.into_iter().map(|(key, value)| (key, with_texts(value))).collect())
            }
            other => other,
        }
    }

    /// The expected result of the reader for a document whose numbers were replaced by their indexes.
    fn expected<'a>(json: Json<'a>, numbers: &[&str], depth: usize) -> Json<'a> {
        match json {
            Json::Int(index) => number(numbers[index as usize]),
            Json::Array(_) | Json::Object(_) if depth > DEEPEST => Json::Str(CUT.into()),
            Json::Array(items) => {
                Json::Array(items.into_iter().map(|item| expected(item, numbers, depth + 1)).collect())
            }
            Json::Object(members) => {
                let members = members.into_iter();
                Json::Object(members.map(|(key, value)| (key, expected(value, numbers, depth + 1))).collect())
            }
            scalar => scalar,
        }
    }

    #[pg_test]
    fn jsonb_of_the_server_is_read_as_the_server_shows_it() {
        let mut generator = Generator(0x5eed_5eed_5eed);
        let mut texts: Vec<String> = NUMBERS.iter().map(|number| (*number).to_owned()).collect();
        texts.extend((0..DOCUMENTS).map(|_| generator.document()));
        let (mut floats, mut exact) = (0, 0);
        Spi::connect(|client| {
            let query = "SELECT document::jsonb, document::jsonb::text FROM unnest($1::text[]) AS t (document)";
            for row in client.select(query, None, &[texts.clone().into()]).unwrap() {
                let jsonb: Jsonb = row.get(1).unwrap().unwrap();
                let shown: String = row.get(2).unwrap().unwrap();
                let (apart, numbers) = numbers_apart(&shown);
                let expected = expected(Json::from_text(&apart).unwrap(), &numbers, 0);
                assert_eq!(jsonb::read(jsonb.bytes()).map(with_texts).as_ref(), Ok(&expected), "{shown}");
                floats += numbers.iter().filter(|literal| matches!(number(literal), Json::Float(_))).count();
                exact += numbers.iter().filter(|literal| matches!(number(literal), Json::Str(_))).count();
            }
        });
        assert!(floats > 300 && exact > 300, "the documents held {floats} floats and {exact} other numbers");
    }

    #[pg_test]
    fn what_is_nested_deeper_than_the_reader_goes_is_marked() {
        for levels in [DEEPEST, DEEPEST + 1, DEEPEST + 2, 1_000] {
            let text = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
            let jsonb: Jsonb = Spi::get_one_with_args("SELECT $1::jsonb", &[text.into()]).unwrap().unwrap();
            let read = levels.min(DEEPEST + 1);
            let innermost = if levels > read { format!("{CUT:?}") } else { "1".to_owned() };
            let expected = format!("{}{innermost}{}", "[".repeat(read), "]".repeat(read));
            assert_eq!(jsonb::read(jsonb.bytes()).unwrap().to_text(), expected, "{levels} levels");
        }
    }
}
