//! What must hold of any bytes that are read as jsonb.

use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb;
use litellm_spend_core::record::SpendRecord;
use litellm_spend_core::sanitise::sanitise;

/// How many values a document has, itself included.
pub fn values(json: &Json) -> usize {
    1 + match json {
        Json::Array(items) => items.iter().map(values).sum(),
        Json::Object(members) => members.iter().map(|(_, value)| values(value)).sum(),
        _ => 0,
    }
}

/// Takes the bytes the whole way of a payload; what was read is no more than a value for each of their words.
pub fn read_everything(bytes: &[u8]) {
    let most = bytes.len() / 4 + 1;
    if let Ok(json) = jsonb::read(bytes) {
        assert!(values(&json) <= most, "{} values of {} bytes", values(&json), bytes.len());
    }
    let Ok((elements, _)) = jsonb::elements(bytes) else { return };
    assert!(elements.iter().map(|element| values(&element.json)).sum::<usize>() <= most);
    for element in elements {
        let _ = element.container.map(jsonb::read);
        let _ = SpendRecord::decode(&element.json);
        let _ = SpendRecord::decode(&sanitise(element.json, true).json);
    }
}
