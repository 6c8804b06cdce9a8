//! What a record says of the request beside cost and identity: the tools it called, the access groups
//! that let it through, who made it and how it failed.

use std::borrow::Cow;

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
        let items = match self.given(key) {
            Some(Json::Array(items)) => items.as_slice(),
            _ => &[],
        };
        items.iter().filter_map(|item| if let Json::Str(name) = item { Some(name.clone()) } else { None })
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

/// The names that are not empty, each once, cut to `longest` bytes.
fn distinct<'a>(names: impl Iterator<Item = Text<'a>>, longest: usize) -> Vec<Text<'a>> {
    let mut distinct: Vec<Text<'a>> = Vec::new();
    for name in names.filter(|name| !name.is_empty()).map(|name| fit(name, longest)) {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

fn trimmed(text: Text<'_>) -> Text<'_> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}
