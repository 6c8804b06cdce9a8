//! The holder of a request id: what tells a repetition of a request from another request with the same id (invariant
//! 3). If the provider gives no id (embeddings, images, speech, transcription, failures), LiteLLM names a request by
//! its call id. An application may use one call id for several requests; the start then tells them apart.

use super::{Text, background};
use crate::ledger::{call_hash, started_hash};
use crate::moment::Moment;

/// The callback gives each failed attempt of a Router an id of its own: the id of the call, this text and the start of
/// the attempt.
const ATTEMPT: &str = "_attempt";

/// The holder of a request id: a call, and its start if the call id alone could stand for several requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder<'a> {
    call_id: Text<'a>,
    /// The start, in whole milliseconds; `None` unless the request id is the call id.
    start: Option<Moment>,
}

impl<'a> Holder<'a> {
    /// The holder of a request with this id, call and start.
    pub fn of(request_id: &str, call_id: Text<'a>, start: Moment) -> Self {
        let is_calls_own = request_id == call_id && !is_made(request_id);
        Holder { call_id, start: is_calls_own.then_some(start).map(Moment::rounded_to_millis) }
    }

    /// A holder that is known by its call alone.
    pub fn of_call(call_id: Text<'a>) -> Self {
        Holder { call_id, start: None }
    }

    /// The hash by which the ledger keeps the holder.
    pub fn hash(&self) -> i64 {
        self.start.map_or_else(|| call_hash(&self.call_id), |start| started_hash(&self.call_id, start.millis()))
    }

    /// The hash in old entries of the ledger, from before the start told requests apart; `None` if it equals
    /// [`Holder::hash`].
    pub fn hash_without_start(&self) -> Option<i64> {
        self.start.map(|_| call_hash(&self.call_id))
    }

    /// The text that is added to the request id if another request holds that id: the call id, or the start in
    /// milliseconds.
    pub fn suffix(&self) -> String {
        self.start.map_or_else(|| self.call_id.to_string(), |start| start.millis().to_string())
    }
}

fn is_made(id: &str) -> bool {
    let is_attempt = || {
        id.rsplit_once(ATTEMPT)
            .is_some_and(|(_, start)| !start.is_empty() && start.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    };
    background::SUFFIXES.iter().any(|end| id.ends_with(end)) || is_attempt()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn holder<'a>(request_id: &str, call_id: &'a str, micros: i64) -> Holder<'a> {
        Holder::of(request_id, Cow::Borrowed(call_id), Moment::from_micros(micros).unwrap())
    }

    #[test]
    fn the_start_tells_requests_apart_that_are_named_by_their_call_id() {
        assert_ne!(holder("c", "c", 1_000), holder("c", "c", 2_000));
        assert_ne!(holder("c", "c", 1_000).hash(), holder("c", "c", 2_000).hash());
        assert_eq!(holder("c", "c", 1_773_500_966_535_897).suffix(), "1773500966536");
        assert_eq!(holder("r", "c", 1_000), holder("r", "c", 2_000), "a provider's id");
        assert_eq!(holder("r", "c", 1_000).suffix(), "c");
    }

    #[test]
    fn an_id_that_was_made_is_held_by_its_call_alone() {
        for id in ["b_batch_cost", "r_background_cost", "v_video_cost", "c_guardrail_cost", "c_attempt1773500966.535"] {
            assert_eq!(holder(id, id, 1_000), holder(id, id, 2_000), "{id}");
        }
        for id in ["c_attempt", "c_attemptive", "batch_cost_2"] {
            assert_ne!(holder(id, id, 1_000), holder(id, id, 2_000), "{id}");
        }
    }
}
