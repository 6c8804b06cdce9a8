//! Arbitrary JSON text: it is the same document after a way through jsonb's binary form, and as a record what the
//! sanitiser leaves of it obeys the allow list, is stable, and is decoded or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use litellm_spend_core::api_key;
use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb;
use litellm_spend_core::record::SpendRecord;

#[path = "../../core/tests/support/container.rs"]
mod container;
#[path = "../../core/tests/support/reading.rs"]
mod reading;
#[path = "../../core/tests/support/storing.rs"]
mod storing;

fuzz_target!(|text: &str| {
    let Ok(json) = Json::from_text(text) else { return };
    let bytes = container::container(&json);
    assert_eq!(jsonb::read(&bytes), Ok(container::as_read(&json, 0)));
    reading::read_everything(&bytes);

    let _ = SpendRecord::decode(&json);
    for store_prompts in [false, true] {
        let kept = storing::sanitise_well(json.clone(), store_prompts);
        if let Ok(record) = SpendRecord::decode(&kept) {
            assert!(record.api_key.is_empty() || api_key::is_safe(&record.api_key));
            let _ = (record.start.utc_date(), record.end.rounded_to_millis());
        }
    }
});
