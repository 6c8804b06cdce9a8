//! The part of a request's body that may be stored if prompts are stored: everything except credentials. LiteLLM's
//! proxy takes credentials in a body beside the prompt, and they may stand at any depth (an MCP tool carries headers of
//! its own).

use super::url::without_secrets;
use crate::json::Json;

/// Ends of the names under which credentials are sent, in lower case and with `_` in place of `-`.
const CREDENTIALS: &[&str] = &[
    "api_key",
    "api_key_hash",
    "apikey",
    "access_key",
    "access_key_id",
    "private_key",
    "_token",
    "authorization",
    "headers",
    "cookie",
    "secret",
    "secret_key",
    "secret_fields",
    "password",
    "credentials",
];
/// Names of URLs that may hold credentials. The URLs of images, which are part of the prompt, have other names.
const ADDRESSES: &[&str] = &["api_base", "base_url", "server_url"];

/// Removes the credentials from a body. Returns whether there were any.
pub fn drop_credentials(body: &mut Json) -> bool {
    let mut changed = false;
    match body {
        Json::Array(items) => {
            for item in items {
                changed |= drop_credentials(item);
            }
        }
        Json::Object(members) => {
            let sent = members.len();
            members.retain(|(name, _)| !is_credential(name));
            changed = members.len() < sent;
            for (name, value) in members {
                changed |= match value {
                    Json::Str(url) if ADDRESSES.contains(&name.as_ref()) => {
                        without_secrets(url).map(|stored| *url = stored.into()).is_some()
                    }
                    value => drop_credentials(value),
                };
            }
        }
        _ => {}
    }
    changed
}

fn is_credential(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    CREDENTIALS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_keeps_its_prompt_and_loses_its_credentials() {
        let mut body = Json::from_text(
            r#"{"body":{"messages":[{"content":"prompt"}],"max_tokens":1,"API-Key":"s","aws_session_token":"s",
                "tools":[{"type":"mcp","headers":{"Authorization":"s"},"server_url":"https://u:s@host/mcp?k=s"}],
                "image_url":{"url":"https://host/i.png?size=1"}},"headers":{"x":"s"}}"#,
        )
        .unwrap();
        assert!(drop_credentials(&mut body));
        assert_eq!(
            body.to_text(),
            r#"{"body":{"messages":[{"content":"prompt"}],"max_tokens":1,"tools":[{"type":"mcp","server_url":"https://host/mcp"}],"image_url":{"url":"https://host/i.png?size=1"}}}"#
        );
        assert!(!drop_credentials(&mut body));
    }
}
