-- A common alternative to a staged record: each call counts its record in every target (row 5). It takes one record or
-- an array of records. It writes the log row first, because its request id tells a repetition, then each target in
-- LiteLLM's order of tables, with rows in byte order, so that callers do not deadlock.
CREATE FUNCTION bench.upsert_each_call(payload jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    counted bigint;
    utc timestamp := now() AT TIME ZONE 'UTC';
BEGIN
    WITH record AS (
        SELECT r.*, m.*, to_timestamp(r."startTime") AT TIME ZONE 'UTC' AS started,
               to_timestamp(r."endTime") AT TIME ZONE 'UTC' AS ended,
               to_char(to_timestamp(r."startTime") AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS date,
               greatest(trunc(r."endTime" * 1000) - trunc(r."startTime" * 1000), 0)::int AS duration_ms,
               coalesce((m.usage_object -> 'prompt_tokens_details' ->> 'cached_tokens')::bigint, 0) AS cached_tokens
        FROM jsonb_array_elements(CASE jsonb_typeof(payload) WHEN 'array' THEN payload ELSE jsonb_build_array(payload) END)
             AS element
        CROSS JOIN LATERAL jsonb_to_record(element) AS r (
            id text, litellm_call_id text, trace_id text, call_type text, status text, "startTime" float8,
            "endTime" float8, "completionStartTime" float8, response_cost float8, prompt_tokens int,
            completion_tokens int, total_tokens int, model text, model_id text, model_group text,
            custom_llm_provider text, api_base text, cache_hit text, request_tags jsonb, requester_ip_address text,
            cost_breakdown jsonb, metadata jsonb)
        CROSS JOIN LATERAL jsonb_to_record(r.metadata) AS m (
            user_api_key_hash text, user_api_key_user_id text, user_api_key_team_id text, usage_object jsonb)
    ), logged AS (
        INSERT INTO "LiteLLM_SpendLogs" (
            request_id, call_type, api_key, spend, total_tokens, prompt_tokens, completion_tokens, "startTime",
            "endTime", "completionStartTime", request_duration_ms, model, model_id, model_group, custom_llm_provider,
            api_base, "user", team_id, metadata, cache_hit, cache_key, request_tags, requester_ip_address, session_id,
            status, litellm_call_id)
        SELECT id, call_type, user_api_key_hash, response_cost, total_tokens, prompt_tokens, completion_tokens,
               started, ended, to_timestamp("completionStartTime") AT TIME ZONE 'UTC', duration_ms, model, model_id,
               model_group, custom_llm_provider, api_base, user_api_key_user_id, user_api_key_team_id,
               metadata - 'user_api_key_hash' || jsonb_build_object(
                   'user_api_key', user_api_key_hash, 'cost_breakdown', cost_breakdown,
                   'litellm_call_id', litellm_call_id),
               initcap(cache_hit), 'Cache OFF', request_tags, requester_ip_address, trace_id, status, litellm_call_id
        FROM record
        ORDER BY id COLLATE "C"
        ON CONFLICT (request_id) DO NOTHING
        RETURNING request_id
    ), fresh AS MATERIALIZED (
        SELECT DISTINCT ON (record.id) record.* FROM record JOIN logged ON logged.request_id = record.id
    ), users AS (
        INSERT INTO "LiteLLM_UserTable" AS t (user_id, spend, updated_at)
        SELECT user_api_key_user_id, sum(response_cost), utc FROM fresh GROUP BY 1 ORDER BY user_api_key_user_id COLLATE "C"
        ON CONFLICT (user_id) DO UPDATE SET spend = t.spend + EXCLUDED.spend, updated_at = EXCLUDED.updated_at
    ), keys AS (
        UPDATE "LiteLLM_VerificationToken" AS t
        SET spend = t.spend + s.spend, total_spend = t.total_spend + s.spend, last_active = utc, updated_at = utc
        FROM (SELECT user_api_key_hash AS token, sum(response_cost) AS spend FROM fresh GROUP BY 1) AS s
        WHERE t.token = s.token
    ), teams AS (
        INSERT INTO "LiteLLM_TeamTable" AS t (team_id, spend, updated_at)
        SELECT user_api_key_team_id, sum(response_cost), utc FROM fresh GROUP BY 1 ORDER BY user_api_key_team_id COLLATE "C"
        ON CONFLICT (team_id) DO UPDATE SET spend = t.spend + EXCLUDED.spend, updated_at = EXCLUDED.updated_at
    ), members AS (
        UPDATE "LiteLLM_TeamMembership" AS t
        SET spend = t.spend + s.spend, total_spend = greatest(t.total_spend, t.spend) + s.spend
        FROM (SELECT user_api_key_team_id AS team_id, user_api_key_user_id AS user_id, sum(response_cost) AS spend
              FROM fresh GROUP BY 1, 2) AS s
        WHERE t.team_id = s.team_id AND t.user_id = s.user_id
    ), tags AS (
        INSERT INTO "LiteLLM_TagTable" AS t (tag_name, spend, updated_at)
        SELECT tag, sum(response_cost), utc FROM fresh CROSS JOIN LATERAL jsonb_array_elements_text(request_tags) AS tag
        GROUP BY tag ORDER BY tag COLLATE "C"
        ON CONFLICT (tag_name) DO UPDATE SET spend = t.spend + EXCLUDED.spend, updated_at = EXCLUDED.updated_at
    ), sums AS MATERIALIZED (
        SELECT user_api_key_user_id AS user_id, user_api_key_team_id AS team_id, request_tags, date,
               user_api_key_hash AS api_key, model, model_group, custom_llm_provider, min(id) AS request_id,
               CASE call_type WHEN 'acompletion' THEN '/chat/completions' WHEN 'completion' THEN '/chat/completions'
                              WHEN 'aembedding' THEN '/embeddings' ELSE '' END AS endpoint,
               sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
               sum(cached_tokens)::bigint AS cached_tokens, sum(response_cost) AS spend, count(*) AS requests,
               count(*) FILTER (WHERE status = 'success') AS successes,
               count(*) FILTER (WHERE status = 'failure') AS failures,
               coalesce(sum(duration_ms) FILTER (WHERE status = 'success'), 0) AS duration_ms
        FROM fresh GROUP BY user_id, team_id, request_tags, date, api_key, model, model_group, custom_llm_provider, endpoint
    ), daily_users AS (
        INSERT INTO "LiteLLM_DailyUserSpend" AS t (
            id, user_id, date, api_key, model, model_group, custom_llm_provider, mcp_namespaced_tool_name, endpoint,
            prompt_tokens, completion_tokens, cache_read_input_tokens, spend, api_requests, successful_requests,
            failed_requests, total_response_time_ms, timed_requests, created_at, updated_at)
        SELECT gen_random_uuid()::text, user_id, date, api_key, model, min(model_group), custom_llm_provider, '', endpoint,
               sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(spend), sum(requests),
               sum(successes), sum(failures), sum(duration_ms), sum(successes), utc, utc
        FROM sums GROUP BY user_id, date, api_key, model, custom_llm_provider, endpoint
        ORDER BY user_id COLLATE "C", date COLLATE "C", api_key COLLATE "C", model COLLATE "C"
        ON CONFLICT (user_id, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint) DO UPDATE
        SET prompt_tokens = t.prompt_tokens + EXCLUDED.prompt_tokens,
            completion_tokens = t.completion_tokens + EXCLUDED.completion_tokens,
            cache_read_input_tokens = t.cache_read_input_tokens + EXCLUDED.cache_read_input_tokens,
            spend = t.spend + EXCLUDED.spend, api_requests = t.api_requests + EXCLUDED.api_requests,
            successful_requests = t.successful_requests + EXCLUDED.successful_requests,
            failed_requests = t.failed_requests + EXCLUDED.failed_requests,
            total_response_time_ms = t.total_response_time_ms + EXCLUDED.total_response_time_ms,
            timed_requests = t.timed_requests + EXCLUDED.timed_requests, updated_at = EXCLUDED.updated_at
    ), daily_teams AS (
        INSERT INTO "LiteLLM_DailyTeamSpend" AS t (
            id, team_id, date, api_key, model, model_group, custom_llm_provider, mcp_namespaced_tool_name, endpoint,
            prompt_tokens, completion_tokens, cache_read_input_tokens, spend, api_requests, successful_requests,
            failed_requests, total_response_time_ms, timed_requests, created_at, updated_at)
        SELECT gen_random_uuid()::text, team_id, date, api_key, model, min(model_group), custom_llm_provider, '', endpoint,
               sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(spend), sum(requests),
               sum(successes), sum(failures), sum(duration_ms), sum(successes), utc, utc
        FROM sums GROUP BY team_id, date, api_key, model, custom_llm_provider, endpoint
        ORDER BY team_id COLLATE "C", date COLLATE "C", api_key COLLATE "C", model COLLATE "C"
        ON CONFLICT (team_id, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint) DO UPDATE
        SET prompt_tokens = t.prompt_tokens + EXCLUDED.prompt_tokens,
            completion_tokens = t.completion_tokens + EXCLUDED.completion_tokens,
            cache_read_input_tokens = t.cache_read_input_tokens + EXCLUDED.cache_read_input_tokens,
            spend = t.spend + EXCLUDED.spend, api_requests = t.api_requests + EXCLUDED.api_requests,
            successful_requests = t.successful_requests + EXCLUDED.successful_requests,
            failed_requests = t.failed_requests + EXCLUDED.failed_requests,
            total_response_time_ms = t.total_response_time_ms + EXCLUDED.total_response_time_ms,
            timed_requests = t.timed_requests + EXCLUDED.timed_requests, updated_at = EXCLUDED.updated_at
    ), daily_tags AS (
        INSERT INTO "LiteLLM_DailyTagSpend" AS t (
            id, tag, date, api_key, model, model_group, custom_llm_provider, mcp_namespaced_tool_name, endpoint,
            request_id, prompt_tokens, completion_tokens, cache_read_input_tokens, spend, api_requests,
            successful_requests, failed_requests, total_response_time_ms, timed_requests, created_at, updated_at)
        SELECT gen_random_uuid()::text, tag, date, api_key, model, min(model_group), custom_llm_provider, '', endpoint,
               min(request_id), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(spend), sum(requests),
               sum(successes), sum(failures), sum(duration_ms), sum(successes), utc, utc
        FROM sums CROSS JOIN LATERAL jsonb_array_elements_text(request_tags) AS tag
        GROUP BY tag, date, api_key, model, custom_llm_provider, endpoint
        ORDER BY tag COLLATE "C", date COLLATE "C", api_key COLLATE "C", model COLLATE "C"
        ON CONFLICT (tag, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint) DO UPDATE
        SET prompt_tokens = t.prompt_tokens + EXCLUDED.prompt_tokens,
            completion_tokens = t.completion_tokens + EXCLUDED.completion_tokens,
            cache_read_input_tokens = t.cache_read_input_tokens + EXCLUDED.cache_read_input_tokens,
            spend = t.spend + EXCLUDED.spend, api_requests = t.api_requests + EXCLUDED.api_requests,
            successful_requests = t.successful_requests + EXCLUDED.successful_requests,
            failed_requests = t.failed_requests + EXCLUDED.failed_requests,
            total_response_time_ms = t.total_response_time_ms + EXCLUDED.total_response_time_ms,
            timed_requests = t.timed_requests + EXCLUDED.timed_requests, request_id = EXCLUDED.request_id,
            updated_at = EXCLUDED.updated_at
    ), model_usage AS (
        INSERT INTO "LiteLLM_DailyModelUsage" AS t (
            date, model_group, model, custom_llm_provider, task_type, spend, prompt_tokens, completion_tokens,
            request_count, successful_requests, failed_requests, created_at, updated_at)
        SELECT date, model_group, model, custom_llm_provider, 'uncategorized', sum(spend), sum(prompt_tokens),
               sum(completion_tokens), sum(requests), sum(successes), sum(failures), utc, utc
        FROM sums GROUP BY 1, 2, 3, 4
        ORDER BY date COLLATE "C", model_group COLLATE "C", model COLLATE "C", custom_llm_provider COLLATE "C"
        ON CONFLICT (date, model_group, model, custom_llm_provider, task_type) DO UPDATE
        SET spend = t.spend + EXCLUDED.spend, prompt_tokens = t.prompt_tokens + EXCLUDED.prompt_tokens,
            completion_tokens = t.completion_tokens + EXCLUDED.completion_tokens,
            request_count = t.request_count + EXCLUDED.request_count,
            successful_requests = t.successful_requests + EXCLUDED.successful_requests,
            failed_requests = t.failed_requests + EXCLUDED.failed_requests, updated_at = EXCLUDED.updated_at
    )
    SELECT count(*) INTO counted FROM fresh;
    RETURN counted;
END
$$;
