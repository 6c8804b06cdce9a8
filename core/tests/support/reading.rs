//! Checks for any bytes that are read as jsonb.

use litellm_spend_core::allowed::sanitise::sanitise;
use litellm_spend_core::allowed::unchanged;
use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb;
use litellm_spend_core::record::SpendRecord;

/// How many values a document has, including itself.
pub fn values(json: &Json) -> usize {
    1 + match json {
        Json::Array(items) => items.iter().map(values).sum(),
        Json::Object(members) => members.iter().map(|(_, value)| values(value)).sum(),
        _ => 0,
    }
}

/// Reads the bytes as a payload from beginning to end. Each of their words yields at most one value.
pub fn read_everything(bytes: &[u8]) {
    let most = bytes.len() / 4 + 1;
    if let Ok(json) = jsonb::read(bytes) {
        assert!(values(&json) <= most, "{} values of {} bytes", values(&json), bytes.len());
    }
    let Ok((elements, _)) = jsonb::elements(bytes) else { return };
    let mut read = 0;
    for element in elements {
        let Ok(element) = element else { return };
        let _ = element.container().map(jsonb::read);
        let vouched_for = element.container().is_some_and(|container| unchanged::is_unchanged(container, true));
        let Ok(json) = element.json() else { continue };
        read += values(&json);
        let _ = SpendRecord::decode(&json);
        let sanitised = sanitise(json, true);
        let decoded = SpendRecord::decode(&sanitised.json);
        assert!(
            !vouched_for || !sanitised.changed && decoded.is_ok(),
            "vouched for {sanitised:?}, which is {decoded:?}"
        );
    }
    assert!(read <= most);
}
