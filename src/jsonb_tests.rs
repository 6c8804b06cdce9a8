//! Postgres decides what a jsonb means: texts of every shape are cast by the server, read by our reader, and
//! compared with the text that the server shows of them.

// These run in the server, where the test allowances of clippy.toml do not reach.
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#[pgrx::pg_schema]
mod tests {
    use litellm_spend_core::json::Json;
    use litellm_spend_core::jsonb;
    use pgrx::prelude::*;

    use crate::jsonb::Jsonb;

    const DOCUMENTS: usize = 1_500;
    /// The reader's own bound: what is nested deeper is read as null.
    const DEEPEST: usize = 100;
    const NUMBERS: &[&str] = &[
        "0",
        "-0",
        "-0.0",
        "0e10",
        "1",
        "-1",
        "9999",
        "10000",
        "-100000000",
        "0.1",
        "1.0",
        "1.50",
        "-12.5e0",
        "1E+5",
        "1e-5",
        "100000000.00000001",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "123456789012345678901234567890",
        "-0.000000000000000000000001",
        "123456789012345678901234567890.123456789012345678901234567890",
        "1e22",
        "1e23",
        "1e300",
        "-1e308",
        "1e400",
        "-1e400",
        "5e-324",
        "2e-324",
        "1e-400",
        "2.2250738585072011e-308",
        "0.30000000000000004",
        "8.41e21",
        "6e4000",
        "9007199254740993",
        "9007199254740992.9999999999999999",
        "0.00010000",
        "1234567.1234",
        "12345678.12345678",
    ];
    const PIECES: &[&str] = &[
        "a",
        "zz",
        "ü",
        "語",
        "\u{1F511}",
        " ",
        "'",
        "/",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b\\f\\r\\t",
        "\\u0001",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\\u2028",
        "{",
        "]",
        ",",
        "-1",
        "\u{7f}",
    ];

    /// JSON texts out of a fixed sequence (xorshift), the same in each run.
    struct Generator(u64);

    impl Generator {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 16) as usize % bound
        }

        fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
            from[self.below(from.len())]
        }

        fn number(&mut self) -> String {
            if self.below(2) == 0 {
                return self.pick(NUMBERS).to_owned();
            }
            let mut digits = |most: usize| {
                let count = 1 + self.below(most);
                (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect::<String>()
            };
            let (whole, fraction, exponent) = (digits(30), digits(25), digits(2));
            let whole = whole.trim_start_matches('0');
            let sign = self.pick(&["", "-"]);
            let whole = if whole.is_empty() { "0" } else { whole };
            match self.below(4) {
                0 => format!("{sign}{whole}"),
                1 => format!("{sign}{whole}.{fraction}"),
                2 => format!("{sign}{whole}.{fraction}e-{exponent}"),
                _ => format!("{sign}{whole}e+{exponent}"),
            }
        }

        /// Of any length up to 40, and now and then of thousands of bytes.
        fn string(&mut self) -> String {
            let pieces = match self.below(50) {
                0 => self.below(3_000),
                1..10 => 0,
                _ => self.below(20),
            };
            let text: String = (0..pieces).map(|_| self.pick(PIECES)).collect();
            format!("\"{text}\"")
        }

        fn key(&mut self) -> String {
            match self.below(3) {
                // Few names: duplicates.
                0 => format!("\"{}\"", self.pick(&["a", "b", "ab", "", "ü"])),
                // Every length, which decides how much padding follows.
                1 => format!("\"{}\"", "k".repeat(self.below(12))),
                _ => self.string(),
            }
        }

        fn value(&mut self, depth: usize) -> String {
            let kinds = if depth == 0 { 6 } else { 10 };
            match self.below(kinds) {
                0 => self.pick(&["true", "false", "null"]).to_owned(),
                1 => self.pick(&["[]", "{}"]).to_owned(),
                2 | 3 => self.number(),
                4 | 5 => self.string(),
                6 | 7 => {
                    let items: Vec<_> = (0..self.members(depth)).map(|_| self.value(depth - 1)).collect();
                    format!("[{}]", items.join(","))
                }
                _ => {
                    let count = self.members(depth);
                    let members: Vec<_> =
                        (0..count).map(|_| format!("{}: {}", self.key(), self.value(depth - 1))).collect();
                    format!("{{{}}}", members.join(" , "))
                }
            }
        }

        /// Among the flat ones are some whose entries hold offsets, which each 32nd does.
        fn members(&mut self, depth: usize) -> usize {
            if depth == 1 && self.below(8) == 0 { 30 + self.below(70) } else { self.below(6) }
        }

        fn document(&mut self) -> String {
            let depth = self.below(6);
            let mut text = self.value(depth);
            if self.below(30) == 0 {
                for _ in 0..90 + self.below(25) {
                    text = match self.below(2) {
                        0 => format!("[{text}]"),
                        _ => format!("{{{}:{text},\"z\":[1]}}", self.key()),
                    };
                }
            }
            text
        }
    }

    /// The text with each number replaced by its index among the numbers, and the numbers: a parser of JSON would
    /// round them.
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
            _ => Json::Float(literal.parse().unwrap()),
        }
    }

    /// What the reader should make of a document whose numbers are apart.
    fn expected<'a>(json: Json<'a>, numbers: &[&str], depth: usize) -> Json<'a> {
        match json {
            Json::Int(index) => number(numbers[index as usize]),
            Json::Array(_) | Json::Object(_) if depth > DEEPEST => Json::Null,
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
        let mut floats = 0;
        Spi::connect(|client| {
            let query = "SELECT document::jsonb, document::jsonb::text FROM unnest($1::text[]) AS t (document)";
            for row in client.select(query, None, &[texts.clone().into()]).unwrap() {
                let jsonb: Jsonb = row.get(1).unwrap().unwrap();
                let shown: String = row.get(2).unwrap().unwrap();
                let (apart, numbers) = numbers_apart(&shown);
                let expected = expected(Json::from_text(&apart).unwrap(), &numbers, 0);
                assert_eq!(jsonb::read(jsonb.bytes()).as_ref(), Ok(&expected), "{shown}");
                floats += numbers.iter().filter(|literal| matches!(number(literal), Json::Float(_))).count();
            }
        });
        assert!(floats > 1_000, "the documents held {floats} numbers that are no integers");
    }

    #[pg_test]
    fn what_is_nested_deeper_than_the_reader_goes_is_null() {
        for levels in [DEEPEST, DEEPEST + 1, DEEPEST + 2, 1_000] {
            let text = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
            let jsonb: Jsonb = Spi::get_one_with_args("SELECT $1::jsonb", &[text.into()]).unwrap().unwrap();
            let read = levels.min(DEEPEST + 1);
            let innermost = if levels > read { "null" } else { "1" };
            let expected = format!("{}{innermost}{}", "[".repeat(read), "]".repeat(read));
            assert_eq!(jsonb::read(jsonb.bytes()).unwrap().to_text(), expected, "{levels} levels");
        }
    }
}
