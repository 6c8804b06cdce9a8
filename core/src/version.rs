//! Which pairs of library and installed SQL may fold together (invariant 15). After a package upgrade a
//! preloaded library stays the old one until the server restarts, and the SQL objects stay the old ones
//! until `ALTER EXTENSION`.

/// How the installed SQL objects stand to the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// They fold together.
    Known,
    /// The SQL objects are newer: the server still runs the library of before the upgrade.
    LibraryIsOlder,
    /// The library is newer: the database has not been upgraded.
    SqlIsOlder,
    /// One of the two is no version of this project.
    Unknown,
}

/// Versions of the SQL objects that this library folds with; each release lists those that it was tested
/// with.
const KNOWN_SQL: &[&str] = &[LIBRARY];

/// The library's version.
pub const LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// How SQL objects of the version `sql` stand to this library.
pub fn pair_with(sql: &str) -> Pair {
    if KNOWN_SQL.contains(&sql) {
        return Pair::Known;
    }
    match (numbers(sql), numbers(LIBRARY)) {
        (Some(sql), Some(library)) if sql > library => Pair::LibraryIsOlder,
        (Some(sql), Some(library)) if sql < library => Pair::SqlIsOlder,
        _ => Pair::Unknown,
    }
}

fn numbers(version: &str) -> Option<[u64; 3]> {
    let parts = version.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listed_version_folds_and_the_older_side_is_named() {
        assert_eq!(pair_with(LIBRARY), Pair::Known);
        let [major, minor, patch] = numbers(LIBRARY).unwrap();
        assert_eq!(pair_with(&format!("{major}.{minor}.{}", patch + 1)), Pair::LibraryIsOlder);
        assert_eq!(pair_with(&format!("{major}.{}.0", minor + 10)), Pair::LibraryIsOlder);
        assert_eq!(pair_with("0.0.9"), Pair::SqlIsOlder);
        for unknown in ["", "1", "0.1", "0.1.x", "0.1.0.0", "unpackaged"] {
            assert_eq!(pair_with(unknown), Pair::Unknown, "{unknown}");
        }
    }
}
