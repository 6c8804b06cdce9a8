//! JSON texts of every shape, for the tests of jsonb.

/// Number literals at the limits of the binary forms of a number.
pub const NUMBERS: &[&str] = &[
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

/// Generates JSON texts from a fixed sequence (xorshift), so each run has the same texts.
pub struct Generator(pub u64);

impl Generator {
    /// A number below the bound.
    pub fn below(&mut self, bound: usize) -> usize {
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

    /// A string of fewer than 20 pieces, and sometimes of thousands of bytes.
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
            // There are few names, so keys repeat.
            0 => format!("\"{}\"", self.pick(&["a", "b", "ab", "", "ü"])),
            // Keys of every length, because the length decides how much padding follows.
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

    /// The number of members. Some flat containers have more than 32 members, so that some of their entries hold
    /// offsets: each 32nd entry does.
    fn members(&mut self, depth: usize) -> usize {
        if depth == 1 && self.below(8) == 0 { 30 + self.below(70) } else { self.below(6) }
    }

    /// The text of a document of any shape.
    pub fn document(&mut self) -> String {
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
