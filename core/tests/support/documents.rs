//! Documents of every shape that jsonb can hold.

use std::borrow::Cow;

use litellm_spend_core::json::Json;
use proptest::prelude::*;

/// Any document. Some hold duplicate keys, or so many values that an entry holds an offset.
pub fn document() -> impl Strategy<Value = Json<'static>> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::Int),
        any::<f64>().prop_filter("JSON's numbers are finite", |number| number.is_finite()).prop_map(Json::Float),
        prop::sample::select(&[-0.0, 1.0, -1e18, 9_223_372_036_854_775_808.0, 1e22, 5e-324, f64::MAX][..])
            .prop_map(Json::Float),
        "[^\0]{0,12}".prop_map(|text| Json::Str(Cow::Owned(text))),
    ];
    let key = prop_oneof![
        "[^\0]{0,8}",
        prop::sample::select(vec!["id", "startTime", "spend", "metadata"]).prop_map(String::from)
    ];
    scalar.prop_recursive(5, 80, 40, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..40).prop_map(Json::Array),
            prop::collection::vec((key.clone().prop_map(Cow::Owned), inner), 0..40).prop_map(Json::Object),
        ]
    })
}
