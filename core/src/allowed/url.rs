//! The part of a URL that may be stored: without user, password, query and fragment.

const SEPARATORS: [char; 2] = ['/', '\\'];

/// The URL without its secrets; `None` if it has none. It accepts what a client's library may have accepted or
/// corrected: no scheme, one slash or backslashes, a password whose slash is not escaped, a URL within a URL.
pub fn without_secrets(url: &str) -> Option<String> {
    if !url.contains(['@', '?', '#']) {
        return None;
    }
    let mut stored = cut_once(url)?;
    // What a cut uncovers may read as another URL with secrets.
    while let Some(shorter) = cut_once(&stored) {
        stored = shorter;
    }
    Some(stored)
}

fn cut_once(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_at(authority_start(url));
    let rest = after_credentials(rest);
    let path = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    // Another URL's authority may stand in the path. The `@` before the version of a model there is not a secret.
    let segments = path.split_inclusive(SEPARATORS).map(|segment| match segment.rfind('@') {
        Some(at) if segment[..at].contains(':') => &segment[at + 1..],
        _ => segment,
    });
    let stored = format!("{scheme}{}", segments.collect::<String>());
    (stored != url).then_some(stored)
}

/// The position at which the host, or the user before it, begins: after `scheme:` and slashes.
fn authority_start(url: &str) -> usize {
    let Some(first) = url.find(SEPARATORS) else { return 0 };
    let scheme = &url[..first];
    if !(scheme.is_empty() || (scheme.ends_with(':') && !scheme.contains(['@', '?', '#']))) {
        return 0;
    }
    url[first..].find(|c| !SEPARATORS.contains(&c)).map_or(url.len(), |slashes| first + slashes)
}

/// `rest` without `user:password@`, even if the password holds a character that would end the authority.
fn after_credentials(rest: &str) -> &str {
    let authority = &rest[..rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len())];
    let port_is_none = authority
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.starts_with('[') && !port.bytes().all(|b| b.is_ascii_digit()));
    let end = match authority.rfind('@') {
        Some(at) => Some(at),
        None if port_is_none => rest.rfind('@'),
        None => None,
    };
    end.map_or(rest, |at| &rest[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_their_secrets() {
        for (url, stored) in [
            ("https://u:p@host/v1?key=secret#f", "https://host/v1"),
            ("https://host/v1?key=secret", "https://host/v1"),
            ("//u:p@host/v1", "//host/v1"),
            ("u:p@host/v1", "host/v1"),
            ("u@host:443/v1", "host:443/v1"),
            ("https:/u:p@host", "https:/host"),
            ("https:\\\\u:p@host", "https:\\\\host"),
            ("https://u:p/p?p#p@host/v1", "https://host/v1"),
            ("https://gateway/https://u:p@host/v1", "https://gateway/https://host/v1"),
            ("https://u:p@u:p@host", "https://host"),
        ] {
            assert_eq!(without_secrets(url).as_deref(), Some(stored), "{url}");
        }
    }

    #[test]
    fn a_url_without_secrets_stays_as_it_came() {
        for url in [
            "",
            "https://host/v1/a@b",
            "https://host:8443/publishers/anthropic/models/claude-3-5-sonnet@20240620:rawPredict",
            "http://[::1]:4000/v1",
            "host:4000",
        ] {
            assert_eq!(without_secrets(url), None, "{url}");
        }
    }
}
