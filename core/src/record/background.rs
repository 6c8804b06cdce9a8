//! Work that a provider does in the background: a batch, a response, a video. LiteLLM reports each retrieval of such
//! work as a call with the whole price. It logs the price once, under the work's id with a suffix. Source: LiteLLM's
//! `get_spend_logs_id` (proxy/spend_tracking/spend_tracking_utils.py).

use super::BATCH_COST;

pub(super) const BATCH: &str = "_batch_cost";
const RESPONSE: &str = "_background_cost";
const VIDEO: &str = "_video_cost";
/// The suffix for a poll of a video that charges only guardrails. It follows the id of the poll's own call, not the id
/// of the video.
pub(super) const GUARDRAIL: &str = "_guardrail_cost";
/// The suffixes of ids that LiteLLM creates for a cost and not for a call. Such a cost counts once, whenever it was
/// asked for.
pub(super) const SUFFIXES: [&str; 4] = [BATCH, RESPONSE, VIDEO, GUARDRAIL];
const READS: [&str; 4] = ["get_responses", "aget_responses", "cancel_responses", "acancel_responses"];
/// The call types that create a response. A stream of one tells the price too.
const CREATIONS: [&str; 2] = ["responses", "aresponses"];
const VIDEO_POLLS: [&str; 2] = ["video_status", "avideo_status"];

/// The suffix that LiteLLM adds to the id of a successful call, or `""`. A read of a response has a price only if the
/// response was created in the background. `guardrails` is the part of `cost` that guardrails took, in US dollars.
pub(super) fn suffix(call_type: &str, cost: f64, guardrails: f64, is_cost_poll: bool) -> &'static str {
    if call_type == BATCH_COST {
        BATCH
    } else if READS.contains(&call_type) && (cost > 0.0 || is_cost_poll) {
        RESPONSE
    } else if VIDEO_POLLS.contains(&call_type) && cost > 0.0 {
        if cost > guardrails { VIDEO } else { GUARDRAIL }
    } else {
        ""
    }
}

/// Whether a successful call tells the cost of work in the background. Its id alone then identifies that work.
pub fn is_cost(call_type: &str, request_id: &str) -> bool {
    let suffixes: &[&str] = if READS.contains(&call_type) || CREATIONS.contains(&call_type) {
        &[RESPONSE]
    } else if VIDEO_POLLS.contains(&call_type) {
        &[VIDEO, GUARDRAIL]
    } else {
        return call_type == BATCH_COST;
    };
    suffixes.iter().any(|suffix| request_id.ends_with(suffix))
}
