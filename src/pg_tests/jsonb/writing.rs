//! Our writer creates the same jsonb from a document, byte for byte, as Postgres does from its text.

// These tests run in the server, where the test allowances of clippy.toml do not apply.
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#[pgrx::pg_schema]
mod tests {
    use std::borrow::Cow;

    use litellm_spend_core::json::Json;
    use pgrx::prelude::*;

    use crate::pg_tests::jsonb::documents::{Generator, NUMBERS};
    use crate::postgres::jsonb::Jsonb;

    const DOCUMENTS: usize = 3_000;
    const RANDOM_NUMBERS: usize = 20_000;
    /// Sizes around the multiples of 32, where an entry holds an offset.
    const SIZES: &[usize] = &[0, 1, 2, 15, 16, 17, 31, 32, 33, 34, 63, 64, 65, 66, 95, 96, 97, 500];

    fn assert_written_as_by_the_server(documents: &[Json]) {
        let texts: Vec<String> = documents.iter().map(Json::to_text).collect();
        Spi::connect(|client| {
            let query = "SELECT document::jsonb FROM unnest($1::text[]) AS t (document)";
            let rows = client.select(query, None, &[texts.clone().into()]).unwrap();
            assert_eq!(rows.len(), documents.len());
            for ((row, document), text) in rows.zip(documents).zip(&texts) {
                let theirs: Jsonb = row.get(1).unwrap().unwrap();
                let ours = Jsonb::from_json(document).unwrap();
                assert_eq!(ours.bytes(), theirs.bytes(), "{text}");
            }
        });
    }

    fn text(text: impl Into<String>) -> Json<'static> {
        Json::Str(Cow::Owned(text.into()))
    }

    fn object(members: impl IntoIterator<Item = (String, Json<'static>)>) -> Json<'static> {
        Json::Object(members.into_iter().map(|(key, value)| (Cow::Owned(key), value)).collect())
    }

    /// A value of each kind in turn, so that each kind stands beside every other kind and begins at every offset.
    fn value(index: usize) -> Json<'static> {
        match index % 11 {
            0 => Json::Int(index as i64),
            1 => text("x".repeat(index % 7)),
            2 => Json::Float(index as f64 / 8.0),
            3 => Json::Null,
            4 => Json::Array(vec![]),
            5 => Json::Bool(index % 2 == 0),
            6 => Json::Array(vec![text("é"), Json::Int(-1)]),
            7 => object([]),
            8 => object([("k".repeat(index % 5), text("v"))]),
            9 => text("y".repeat(index)),
            _ => Json::Float(f64::NAN),
        }
    }

    #[pg_test]
    fn documents_of_every_shape_are_written_as_the_server_does() {
        let mut generator = Generator(0xd0c5);
        let texts: Vec<String> = (0..DOCUMENTS).map(|_| generator.document()).collect();
        // Some texts cannot be read because they hold numbers beyond the range of a float.
        let documents: Vec<Json> = texts.iter().filter_map(|text| Json::from_text(text).ok()).collect();
        assert!(documents.len() > DOCUMENTS / 2, "{} of the documents could be read", documents.len());
        assert_written_as_by_the_server(&documents);
    }

    #[pg_test]
    fn numbers_of_every_size_are_written_as_the_server_does() {
        let mut numbers: Vec<Json> = NUMBERS.iter().filter_map(|literal| Json::from_text(literal).ok()).collect();
        for exponent in -324..=308 {
            for digits in ["1", "9", "1.5", "-7.25", "1.234567", "1.0000000000000002", "9.007199254740993"] {
                numbers.extend(
                    format!("{digits}e{exponent}").parse().ok().filter(|f: &f64| f.is_finite()).map(Json::Float),
                );
            }
        }
        for bits in 0..63 {
            let power = 1i64 << bits;
            numbers.extend([power - 1, power, power + 1, -power].map(Json::Int));
            numbers.push(Json::Float(power as f64));
        }
        for zeros in 0..19 {
            let power = 10i64.pow(zeros);
            numbers.extend([power - 1, power, power + 1, -power, 7 * (power / 10)].map(Json::Int));
            numbers.extend([power as f64, 1.0 / power as f64].map(Json::Float));
        }
        numbers.extend([i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1].map(Json::Int));
        numbers.extend([f64::MIN, f64::MAX, f64::MIN_POSITIVE, f64::EPSILON, 5e-324, -0.0, 0.0].map(Json::Float));
        numbers.extend([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Json::Float));
        let mut generator = Generator(0x1eaf);
        let mut bits = || (0..4).fold(0, |bits, _| bits << 16 | generator.below(1 << 16) as u64);
        for _ in 0..RANDOM_NUMBERS {
            let bits = bits();
            numbers.push(Json::Float(f64::from_bits(bits)));
            // Floats like sums of money, and integers of all lengths.
            numbers.push(Json::Float((bits >> 40) as f64 / 1e9));
            numbers.push(Json::Int(bits as i64 >> (bits % 64)));
        }
        assert_written_as_by_the_server(&numbers);
        assert_written_as_by_the_server(&[Json::Array(numbers)]);
    }

    #[pg_test]
    fn containers_of_every_size_are_written_as_the_server_does() {
        let mut documents = Vec::new();
        for &size in SIZES {
            for first in 0..11 {
                let values = || (first..first + size).map(value);
                documents.push(Json::Array(values().collect()));
                documents.push(object(values().enumerate().map(|(index, value)| (format!("key{index}"), value))));
                documents.push(object(values().enumerate().map(|(index, value)| (format!("{}", size - index), value))));
            }
        }
        documents.extend((0..40).map(value));
        let inner = documents.clone();
        documents.push(object(inner.into_iter().enumerate().map(|(index, inner)| ("n".repeat(index % 50), inner))));
        assert_written_as_by_the_server(&documents);
    }

    #[pg_test]
    fn keys_are_ordered_and_made_unique_as_the_server_does() {
        let keys = ["b", "a", "", "ab", "ü", "a", "\u{10FFFF}", "zzz", "aa", "é", "b", "Z", "", "\u{7f}", "ab"];
        let mut documents = Vec::new();
        for rotation in 0..keys.len() {
            for count in 0..=keys.len() {
                let chosen = keys.iter().cycle().skip(rotation).take(count);
                documents.push(object(chosen.enumerate().map(|(index, key)| ((*key).to_owned(), value(index)))));
            }
        }
        // There are so many keys that equal keys are far apart.
        documents.push(object((0..2_000).map(|index| (format!("{}", index * 7_919 % 613), value(index)))));
        assert_written_as_by_the_server(&documents);
    }

    #[pg_test]
    fn long_and_deep_documents_are_written_as_the_server_does() {
        let mut documents: Vec<Json> = [0, 1, 126, 127, 128, 65_535, 65_536, 3_000_000]
            .into_iter()
            .flat_map(|length| [text("l".repeat(length)), Json::Array(vec![text("語".repeat(length)), Json::Int(1)])])
            .collect();
        documents.push(text((1..0x300).filter_map(char::from_u32).collect::<String>()));
        let nested = |levels: usize| {
            (0..levels).fold(Json::Int(10_000), |inner, level| match level % 3 {
                0 => Json::Array(vec![text("x"), inner]),
                1 => object([("key".to_owned(), inner), ("k".to_owned(), Json::Null)]),
                _ => Json::Array(vec![inner]),
            })
        };
        documents.extend([1, 2, 3, 10, 100, 101, 127].map(nested));
        assert_written_as_by_the_server(&documents);
    }
}
