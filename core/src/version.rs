//! The pairs of library and installed SQL that may fold together (invariant 15). After a package upgrade the server
//! runs the old preloaded library until it restarts, and a database keeps the old SQL objects until `ALTER EXTENSION`.

/// How the installed SQL objects relate to the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// They may fold together.
    Known,
    /// The SQL objects are newer: the server still runs the library from before the upgrade.
    LibraryIsOlder,
    /// The library is newer: the database has not been upgraded.
    SqlIsOlder,
    /// One of the two versions is not a version of this project.
    Unknown,
}

/// The versions of the SQL objects that this library folds with. Each release lists the versions that it was tested
/// with.
const KNOWN_SQL: &[&str] = &[LIBRARY];

/// The library's version.
pub const LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// How SQL objects of version `sql` relate to this library.
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
