//! What a record says about the request besides its cost and identity: the tools that it called, the access groups that
//! let it through, who made it and how it failed.

use std::borrow::Cow;
use std::collections::HashSet;

use super::reader::{LONGEST_DETAIL, LONGEST_ID, Reader, fit, text_of};
use super::{CallOrigin, MOST_NAMES, Text};
use crate::json::Json;

impl<'a> Reader<'_, 'a> {
    pub(super) fn model_access_groups(&self) -> Counted<'a> {
        counted(self.names("request_model_access_groups"), LONGEST_ID)
    }

    /// The names of the tools, without surrounding white space, because LiteLLM strips it.
    pub(super) fn tools(&self, mcp_tool: Option<&Text<'a>>) -> Counted<'a> {
        counted(mcp_tool.cloned().into_iter().chain(self.names("tool_calls")).map(trimmed), LONGEST_DETAIL)
    }

    fn names(&self, key: &str) -> impl Iterator<Item = Text<'a>> {
        strings(self.given(key).unwrap_or(&Json::Null))
    }

    /// The error's code if it is an HTTP status, else 0.
    pub(super) fn status_code(&self) -> i32 {
        let error = self.metadata().given("error_information").or_else(|| self.given("error_information"));
        error
            .and_then(|error| error.given("error_code").and_then(text_of))
            .and_then(|code| code.trim().parse().ok())
            .filter(|code| (100..=599).contains(code))
            .unwrap_or(0)
    }

    pub(super) fn call_origin(&self) -> CallOrigin {
        let key = "internal_call_origin";
        match self.given(key).or_else(|| self.metadata().given(key)) {
            Some(Json::Str(origin)) if origin == "background_response_cost_poll" => CallOrigin::CostPoll,
            Some(origin) if origin.is_truthy() => CallOrigin::Internal,
            _ => CallOrigin::Caller,
        }
    }
}

/// The distinct string tags. Other values are ignored; an empty tag counts.
pub(super) fn tags<'a>(request_tags: &Json<'a>) -> Counted<'a> {
    first_distinct(strings(request_tags), LONGEST_ID)
}

/// The names that count, and how many more there are.
pub(super) struct Counted<'a> {
    pub names: Vec<Text<'a>>,
    /// How many distinct names follow the first `MOST_NAMES`.
    pub beyond: usize,
}

/// The names that are not empty, each once.
fn counted<'a>(names: impl Iterator<Item = Text<'a>>, longest: usize) -> Counted<'a> {
    first_distinct(names.filter(|name| !name.is_empty()), longest)
}

/// The first distinct names in their order, each shortened to `longest` bytes.
fn first_distinct<'a>(names: impl Iterator<Item = Text<'a>>, longest: usize) -> Counted<'a> {
    let mut seen = HashSet::new();
    let mut counted = Vec::new();
    for name in names {
        let name = fit(name, longest);
        if seen.insert(name.clone()) && counted.len() < MOST_NAMES {
            counted.push(name);
        }
    }
    Counted { beyond: seen.len() - counted.len(), names: counted }
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
