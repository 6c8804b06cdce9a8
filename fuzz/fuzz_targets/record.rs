//! Reads arbitrary JSON text. After a round trip through jsonb's binary form it is the same document. As a record, it
//! is sanitised to a record that obeys the allow list and does not change when it is sanitised again; that record is
//! decoded or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use litellm_spend_core::allowed::bounds::{self, Bounds};
use litellm_spend_core::json::Json;
use litellm_spend_core::json::raw::Raw;
use litellm_spend_core::jsonb::{self, Element};
use litellm_spend_core::litellm::api_key;
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

    let whole = SpendRecord::decode(&storing::sanitise_well(json.clone(), false));
    for raw in [Raw::Text(text), Raw::Jsonb(Element::Document(&bytes))] {
        let Ok(read) = bounds::read(raw, Bounds { bytes: 4096, values: 8 }, false) else { continue };
        let cut = storing::sanitise_well(read.json, false);
        let cut = SpendRecord::decode(&cut).map(|record| record.usage.spend);
        // Money is never lost to size.
        assert!(
            whole.is_err() || cut == Ok(whole.as_ref().map_or(0.0, |record| record.usage.spend)),
            "{whole:?} became {cut:?}"
        );
    }
    let _ = SpendRecord::decode(&json);
    for store_prompts in [false, true] {
        let kept = storing::sanitise_well(json.clone(), store_prompts);
        if let Ok(record) = SpendRecord::decode(&kept) {
            assert!(record.identity.api_key.is_empty() || api_key::is_safe(&record.identity.api_key));
            let _ = (record.timing.start.utc_date(), record.timing.end.rounded_to_millis());
        }
    }
});
