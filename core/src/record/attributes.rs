//! What a record says of the request beside cost and identity: the tools it called, the access groups
//! that let it through, who made it and how it failed.

use std::borrow::Cow;
use std::collections::HashSet;

use super::reader::{LONGEST_DETAIL, LONGEST_ID, Reader, fit, text_of};
use super::{CallOrigin, Text};
use crate::json::Json;

impl<'a> Reader<'_, 'a> {
    pub(super) fn model_access_groups(&self) -> Vec<Text<'a>> {
        distinct(self.names("request_model_access_groups"), LONGEST_ID)
    }

    /// Names without surrounding white space, as LiteLLM strips them.
    pub(super) fn tools(&self, mcp_tool: Option<&Text<'a>>) -> Vec<Text<'a>> {
        distinct(mcp_tool.cloned().into_iter().chain(self.names("tool_calls")).map(trimmed), LONGEST_DETAIL)
    }

    fn names(&self, key: &str) -> impl Iterator<Item = Text<'a>> {
        strings(self.given(key).unwrap_or(&Json::Null))
    }

    /// The error's code where it is an HTTP status.
    pub(super) fn status_code(&self) -> i32 {
        let error = self.metadata().given("error_information").or_else(|| self.given("error_information"));
        error
            .and_then(|error| error.given("error_code").and_then(text_of))
            .and_then(|code| code.trim().parse().ok())
            .filter(|code| (100..=599).contains(code))
            .unwrap_or(0)
    }

    pub(super) fn origin(&self) -> CallOrigin {
        let key = "internal_call_origin";
        match self.given(key).or_else(|| self.metadata().given(key)) {
            Some(Json::Str(origin)) if origin == "background_response_cost_poll" => CallOrigin::CostPoll,
            Some(origin) if origin.is_truthy() => CallOrigin::Internal,
            _ => CallOrigin::Caller,
        }
    }
}

/// The distinct string tags; other values are ignored, and an empty tag is one.
pub(super) fn tags<'a>(request_tags: &Json<'a>) -> Vec<Text<'a>> {
    each_once(strings(request_tags).map(super::fit_id))
}

/// The names that are not empty, each once, cut to `longest` bytes.
fn distinct<'a>(names: impl Iterator<Item = Text<'a>>, longest: usize) -> Vec<Text<'a>> {
    each_once(names.filter(|name| !name.is_empty()).map(|name| fit(name, longest)))
}

/// In the order in which they come first.
fn each_once<'a>(names: impl Iterator<Item = Text<'a>>) -> Vec<Text<'a>> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(name.clone())).collect()
}

fn strings<'j, 'a>(list: &'j Json<'a>) -> impl Iterator<Item = Text<'a>> + use<'j, 'a> {
    let items = match list {
        Json::Array(items) => items.as_slice(),
        _ => &[],
    };
    items.iter().filter_map(|item| if let Json::Str(name) = item { Some(name.clone()) } else { None })
}

fn trimmed(text: Text<'_>) -> Text<'_> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}
