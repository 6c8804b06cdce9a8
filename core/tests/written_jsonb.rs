//! Documents in jsonb's binary form are read as they were written. A test in the server checks that Postgres writes the
//! same bytes (`src/pg_tests/jsonb/writing.rs`).

use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb;
use proptest::prelude::*;
use support::container::{as_read, container};
use support::documents::document;

mod support;

/// The document with the members of each object in reverse order.
fn reversed<'a>(json: Json<'a>) -> Json<'a> {
    match json {
        Json::Array(items) => Json::Array(items.into_iter().map(reversed).collect()),
        Json::Object(members) => {
            Json::Object(members.into_iter().rev().map(|(key, value)| (key, reversed(value))).collect())
        }
        scalar => scalar,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x5eed),
        ..ProptestConfig::with_cases(1_000)
    })]

    #[test]
    fn a_document_is_read_as_it_was_written(json in document()) {
        let bytes = container(&json);
        prop_assert_eq!(jsonb::read(&bytes), Ok(as_read(&json, 0)));
    }

    /// A number that was read does not know how many zeros its text had.
    #[test]
    fn what_was_read_is_written_as_it_was(json in document()) {
        let bytes = container(&as_read(&json, 0));
        let again = jsonb::read(&bytes).map(|json| container(&json));
        prop_assert_eq!(again, Ok(bytes));
    }

    #[test]
    fn the_order_of_members_makes_no_difference(json in document()) {
        let json = as_read(&json, 0);
        prop_assert_eq!(container(&reversed(json.clone())), container(&json));
    }

    #[test]
    fn what_stands_before_it_makes_no_difference(json in document(), before in prop::collection::vec(any::<u8>(), 0..9)) {
        let mut buffer = before.clone();
        prop_assert!(jsonb::append(&json, &mut buffer).is_some());
        prop_assert_eq!(buffer, [before, container(&json)].concat());
    }
}
