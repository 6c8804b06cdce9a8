//! What of a request's body may be stored where prompts are: everything but the credentials that LiteLLM's
//! proxy takes in a body beside the prompt, at whatever depth (an MCP tool carries headers of its own).

use super::url::without_secrets;
use crate::json::Json;

/// Ends of the names, in lower case and with `_` for `-`, under which credentials are sent.
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
/// Names of URLs that may hold credentials; those of images, which are part of the prompt, are named otherwise.
const ADDRESSES: &[&str] = &["api_base", "base_url", "server_url"];

/// Cuts the credentials out of a body; whether there were any.
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
