//! The endpoint that LiteLLM's daily tables show for a call type. LiteLLM maps only the names of async calls. Here a
//! sync call type gets the endpoint of its async twin (a deliberate difference). Source: the values of
//! `ROUTE_ENDPOINT_MAPPING` in LiteLLM, which are the same in 1.109 and 1.110.

/// The endpoint of `call_type`; `""` if LiteLLM knows none.
pub fn of_call_type(call_type: &str) -> &'static str {
    lookup(call_type).or_else(|| lookup(&format!("a{call_type}"))).unwrap_or("")
}

fn lookup(call_type: &str) -> Option<&'static str> {
    ENDPOINTS.binary_search_by(|(name, _)| (*name).cmp(call_type)).ok().and_then(|at| ENDPOINTS.get(at)).map(|e| e.1)
}

/// Pairs of call type and endpoint, sorted by call type.
const ENDPOINTS: &[(&str, &str)] = &[
    ("_aresponses_websocket", "/responses"),
    ("acancel_eval", "/evals/{eval_id}/cancel"),
    ("acancel_interaction", "/interactions/{interaction_id}/cancel"),
    ("acancel_responses", "/responses/{response_id}/cancel"),
    ("acancel_run", "/evals/{eval_id}/runs/{run_id}/cancel"),
    ("acompact_responses", "/responses/compact"),
    ("acompletion", "/chat/completions"),
    ("acreate_agent", "/v1beta/agents"),
    ("acreate_batch", "/batches"),
    ("acreate_container", "/containers"),
    ("acreate_eval", "/evals"),
    ("acreate_interaction", "/interactions"),
    ("acreate_realtime_client_secret", "/realtime/client_secrets"),
    ("acreate_realtime_transcription_session", "/realtime/transcription_sessions"),
    ("acreate_run", "/evals/{eval_id}/runs"),
    ("acreate_skill", "/skills"),
    ("adecisions", "/decisions"),
    ("adelete_agent", "/v1beta/agents/{name}"),
    ("adelete_container", "/containers/{container_id}"),
    ("adelete_container_file", "/containers/{container_id}/files/{file_id}"),
    ("adelete_eval", "/evals/{eval_id}"),
    ("adelete_interaction", "/interactions/{interaction_id}"),
    ("adelete_run", "/evals/{eval_id}/runs/{run_id}"),
    ("adelete_skill", "/skills/{skill_id}"),
    ("aembedding", "/embeddings"),
    ("aextraction", "/extraction"),
    ("aget_agent", "/v1beta/agents/{name}"),
    ("aget_eval", "/evals/{eval_id}"),
    ("aget_interaction", "/interactions/{interaction_id}"),
    ("aget_run", "/evals/{eval_id}/runs/{run_id}"),
    ("aget_skill", "/skills/{skill_id}"),
    ("aimage_edit", "/images/edits"),
    ("aimage_generation", "/image/generations"),
    ("aingest", "/rag/ingest"),
    ("alist_agent_versions", "/v1beta/agents/{name}/versions"),
    ("alist_agents", "/v1beta/agents"),
    ("alist_container_files", "/containers/{container_id}/files"),
    ("alist_containers", "/containers"),
    ("alist_evals", "/evals"),
    ("alist_input_items", "/responses/{response_id}/input_items"),
    ("alist_runs", "/evals/{eval_id}/runs"),
    ("alist_skills", "/skills"),
    ("amoderation", "/moderations"),
    ("aocr", "/ocr"),
    ("arealtime_calls", "/realtime/calls"),
    ("arerank", "/rerank"),
    ("aresponses", "/responses"),
    ("aretrieve_batch", "/batches"),
    ("aretrieve_container", "/containers/{container_id}"),
    ("aretrieve_container_file", "/containers/{container_id}/files/{file_id}"),
    ("aretrieve_container_file_content", "/containers/{container_id}/files/{file_id}/content"),
    ("asearch", "/search"),
    ("aspeech", "/audio/speech"),
    ("asystemone", "/systemone"),
    ("atext_completion", "/completions"),
    ("atranscription", "/audio/transcriptions"),
    ("aupdate_eval", "/evals/{eval_id}"),
    ("aupload_container_file", "/containers/{container_id}/files"),
    ("avideo_content", "/videos/{video_id}/content"),
    ("avideo_create_character", "/videos/characters"),
    ("avideo_edit", "/videos/edits"),
    ("avideo_extension", "/videos/extensions"),
    ("avideo_generation", "/videos"),
    ("avideo_get_character", "/videos/characters/{character_id}"),
    ("avideo_list", "/videos"),
    ("avideo_remix", "/videos/{video_id}/remix"),
    ("avideo_status", "/videos/{video_id}"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_sorted() {
        assert!(ENDPOINTS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_sync_call_type_has_the_endpoint_of_its_async_twin() {
        assert_eq!(of_call_type("acompletion"), "/chat/completions");
        assert_eq!(of_call_type("completion"), "/chat/completions");
        assert_eq!(of_call_type("text_completion"), "/completions");
        assert_eq!(of_call_type("anthropic_messages"), "");
        assert_eq!(of_call_type(""), "");
    }
}
