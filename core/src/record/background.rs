//! What a provider works off in the background: a batch, a response, a video. LiteLLM reports each retrieval of it as a
//! call that has the whole price, and logs the price once, under the work's id with a suffix. Source: LiteLLM's
//! `get_spend_logs_id` (proxy/spend_tracking/spend_tracking_utils.py).

use super::BATCH_COST;

pub(super) const BATCH: &str = "_batch_cost";
const RESPONSE: &str = "_background_cost";
const VIDEO: &str = "_video_cost";
/// Of a poll of a video that has nothing else to charge: its own call's id and not the video's.
pub(super) const GUARDRAIL: &str = "_guardrail_cost";
/// Ends of ids that are made for a cost and not for a call: such a cost counts once, whenever it was asked for.
pub(super) const SUFFIXES: [&str; 4] = [BATCH, RESPONSE, VIDEO, GUARDRAIL];
const READS: [&str; 4] = ["get_responses", "aget_responses", "cancel_responses", "acancel_responses"];
/// A stream that makes a response tells its price too.
const CREATIONS: [&str; 2] = ["responses", "aresponses"];
const VIDEO_POLLS: [&str; 2] = ["video_status", "avideo_status"];

/// What LiteLLM adds to the id of a successful call: a read of a response has a price only if that was made in the
/// background. `guardrails` is the part of `cost` that guardrails had.
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

/// Whether a successful call tells what work in the background cost, so that its id alone says which.
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
