-- The fold in plain SQL, as fast as we could write it. The extension's fold is compared with it (row 3). It counts the
-- staged rows of the transactions from bench.first up to, not including, bench.last, once each by request id, in every
-- target that the measured records name: users, keys, teams, members, tags, the daily rows of user, team and tag, and
-- model usage. It is one transaction.
--   jsonb_to_record takes each document apart once. The result is summed up at once by the finest key that any target
-- needs, so that every target is written from a few thousand sums and not from the rows. These variants were not
-- faster: `->>` for each field, more work_mem, no JIT, an ANALYZE of the documents.
-- Lines that begin with LEDGER run if request ids are remembered; lines that begin with NO LEDGER run in their place if
-- not.
BEGIN;

CREATE TEMPORARY TABLE staged ON COMMIT DROP AS
SELECT r.id, r.litellm_call_id,
       md5(r.id)::uuid AS request_hash,
       to_char(to_timestamp(r."startTime") AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS date,
       coalesce(m.user_api_key_user_id, '') AS user_id,
       coalesce(m.user_api_key_team_id, '') AS team_id,
       coalesce(m.user_api_key_hash, '') AS api_key,
       coalesce(r.request_tags, '[]') AS tags,
       coalesce(r.model, '') AS model,
       coalesce(r.model_group, '') AS model_group,
       coalesce(r.custom_llm_provider, '') AS custom_llm_provider,
       CASE r.call_type WHEN 'acompletion' THEN '/chat/completions' WHEN 'completion' THEN '/chat/completions'
                        WHEN 'aembedding' THEN '/embeddings' ELSE '' END AS endpoint,
       r.status = 'failure' AS is_failure,
       r.response_cost AS spend,
       coalesce(r.prompt_tokens, 0) AS prompt_tokens,
       coalesce(r.completion_tokens, 0) AS completion_tokens,
       coalesce((m.usage_object -> 'prompt_tokens_details' ->> 'cached_tokens')::bigint, 0) AS cache_read_input_tokens,
       greatest(trunc(r."endTime" * 1000) - trunc(r."startTime" * 1000), 0)::bigint AS duration_ms
FROM litellm_spend.staging AS s
CROSS JOIN LATERAL jsonb_to_record(s.payload) AS r (
    id text, litellm_call_id text, call_type text, status text, "startTime" float8, "endTime" float8,
    response_cost float8, prompt_tokens bigint, completion_tokens bigint, model text, model_group text,
    custom_llm_provider text, request_tags jsonb, metadata jsonb)
CROSS JOIN LATERAL jsonb_to_record(r.metadata) AS m (
    user_api_key_hash text, user_api_key_user_id text, user_api_key_team_id text, usage_object jsonb)
WHERE s.xid >= current_setting('bench.first')::xid8 AND s.xid < current_setting('bench.last')::xid8;

/*LEDGER*/ CREATE TEMPORARY TABLE counted ON COMMIT DROP AS
/*LEDGER*/ WITH added AS (
/*LEDGER*/     INSERT INTO bench.ledger (request_hash, call_hash)
/*LEDGER*/     SELECT request_hash, hashtextextended(litellm_call_id, 0) FROM staged
/*LEDGER*/     ON CONFLICT (request_hash) DO NOTHING RETURNING request_hash)
/*LEDGER*/ SELECT DISTINCT ON (s.request_hash) s.* FROM staged AS s JOIN added USING (request_hash);
/*NO LEDGER*/ CREATE TEMPORARY VIEW counted AS SELECT DISTINCT ON (request_hash) * FROM staged;

CREATE TEMPORARY TABLE sums ON COMMIT DROP AS
SELECT date, user_id, team_id, api_key, tags, model, model_group, custom_llm_provider, endpoint,
       min(id) AS request_id,
       sum(spend) AS spend,
       sum(prompt_tokens)::bigint AS prompt_tokens,
       sum(completion_tokens)::bigint AS completion_tokens,
       sum(cache_read_input_tokens)::bigint AS cache_read_input_tokens,
       count(*) AS api_requests,
       count(*) FILTER (WHERE NOT is_failure) AS successful_requests,
       count(*) FILTER (WHERE is_failure) AS failed_requests,
       coalesce(sum(duration_ms) FILTER (WHERE NOT is_failure), 0)::bigint AS total_response_time_ms
FROM counted
GROUP BY date, user_id, team_id, api_key, tags, model, model_group, custom_llm_provider, endpoint;
ANALYZE sums;

INSERT INTO "LiteLLM_UserTable" AS t (user_id, spend, updated_at)
SELECT user_id, sum(spend), now() AT TIME ZONE 'UTC' FROM sums WHERE user_id <> '' GROUP BY user_id ORDER BY user_id COLLATE "C"
ON CONFLICT (user_id) DO UPDATE SET spend = t.spend + EXCLUDED.spend, updated_at = EXCLUDED.updated_at;

UPDATE "LiteLLM_VerificationToken" AS t
SET spend = t.spend + s.spend, total_spend = t.total_spend + s.spend,
    last_active = now() AT TIME ZONE 'UTC', updated_at = now() AT TIME ZONE 'UTC'
FROM (SELECT api_key, sum(spend) AS spend FROM sums GROUP BY api_key) AS s
WHERE t.token = s.api_key;

INSERT INTO "LiteLLM_TeamTable" AS t (team_id, spend, updated_at)
SELECT team_id, sum(spend), now() AT TIME ZONE 'UTC' FROM sums WHERE team_id <> '' GROUP BY team_id ORDER BY team_id COLLATE "C"
ON CONFLICT (team_id) DO UPDATE SET spend = t.spend + EXCLUDED.spend, updated_at = EXCLUDED.updated_at;

UPDATE "LiteLLM_TeamMembership" AS t
SET spend = t.spend + s.spend, total_spend = greatest(t.total_spend, t.spend) + s.spend
FROM (SELECT team_id, user_id, sum(spend) AS spend FROM sums GROUP BY team_id, user_id) AS s
WHERE t.team_id = s.team_id AND t.user_id = s.user_id;

INSERT INTO "LiteLLM_TagTable" AS t (tag_name, spend, updated_at)
SELECT tag, sum(spend), now() AT TIME ZONE 'UTC'
FROM sums CROSS JOIN LATERAL jsonb_array_elements_text(tags) AS tag GROUP BY tag ORDER BY tag COLLATE "C"
ON CONFLICT (tag_name) DO UPDATE SET spend = t.spend + EXCLUDED.spend, updated_at = EXCLUDED.updated_at;

INSERT INTO "LiteLLM_DailyUserSpend" AS t (
    id, user_id, date, api_key, model, model_group, custom_llm_provider, mcp_namespaced_tool_name, endpoint,
    prompt_tokens, completion_tokens, cache_read_input_tokens, spend, api_requests, successful_requests,
    failed_requests, total_response_time_ms, timed_requests, created_at, updated_at)
SELECT gen_random_uuid()::text, user_id, date, api_key, model, min(model_group), custom_llm_provider, '', endpoint,
       sum(prompt_tokens), sum(completion_tokens), sum(cache_read_input_tokens), sum(spend), sum(api_requests),
       sum(successful_requests), sum(failed_requests), sum(total_response_time_ms), sum(successful_requests),
       now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC'
FROM sums GROUP BY user_id, date, api_key, model, custom_llm_provider, endpoint
ORDER BY user_id COLLATE "C", date COLLATE "C", api_key COLLATE "C", model COLLATE "C"
ON CONFLICT (user_id, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint) DO UPDATE
SET prompt_tokens = t.prompt_tokens + EXCLUDED.prompt_tokens,
    completion_tokens = t.completion_tokens + EXCLUDED.completion_tokens,
    cache_read_input_tokens = t.cache_read_input_tokens + EXCLUDED.cache_read_input_tokens,
    spend = t.spend + EXCLUDED.spend,
    api_requests = t.api_requests + EXCLUDED.api_requests,
    successful_requests = t.successful_requests + EXCLUDED.successful_requests,
    failed_requests = t.failed_requests + EXCLUDED.failed_requests,
    total_response_time_ms = t.total_response_time_ms + EXCLUDED.total_response_time_ms,
    timed_requests = t.timed_requests + EXCLUDED.timed_requests,
    updated_at = EXCLUDED.updated_at;

INSERT INTO "LiteLLM_DailyTeamSpend" AS t (
    id, team_id, date, api_key, model, model_group, custom_llm_provider, mcp_namespaced_tool_name, endpoint,
    prompt_tokens, completion_tokens, cache_read_input_tokens, spend, api_requests, successful_requests,
    failed_requests, total_response_time_ms, timed_requests, created_at, updated_at)
SELECT gen_random_uuid()::text, team_id, date, api_key, model, min(model_group), custom_llm_provider, '', endpoint,
       sum(prompt_tokens), sum(completion_tokens), sum(cache_read_input_tokens), sum(spend), sum(api_requests),
       sum(successful_requests), sum(failed_requests), sum(total_response_time_ms), sum(successful_requests),
       now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC'
FROM sums GROUP BY team_id, date, api_key, model, custom_llm_provider, endpoint
ORDER BY team_id COLLATE "C", date COLLATE "C", api_key COLLATE "C", model COLLATE "C"
ON CONFLICT (team_id, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint) DO UPDATE
SET prompt_tokens = t.prompt_tokens + EXCLUDED.prompt_tokens,
    completion_tokens = t.completion_tokens + EXCLUDED.completion_tokens,
    cache_read_input_tokens = t.cache_read_input_tokens + EXCLUDED.cache_read_input_tokens,
    spend = t.spend + EXCLUDED.spend,
    api_requests = t.api_requests + EXCLUDED.api_requests,
    successful_requests = t.successful_requests + EXCLUDED.successful_requests,
    failed_requests = t.failed_requests + EXCLUDED.failed_requests,
    total_response_time_ms = t.total_response_time_ms + EXCLUDED.total_response_time_ms,
    timed_requests = t.timed_requests + EXCLUDED.timed_requests,
    updated_at = EXCLUDED.updated_at;

INSERT INTO "LiteLLM_DailyTagSpend" AS t (
    id, tag, date, api_key, model, model_group, custom_llm_provider, mcp_namespaced_tool_name, endpoint, request_id,
    prompt_tokens, completion_tokens, cache_read_input_tokens, spend, api_requests, successful_requests,
    failed_requests, total_response_time_ms, timed_requests, created_at, updated_at)
SELECT gen_random_uuid()::text, tag, date, api_key, model, min(model_group), custom_llm_provider, '', endpoint,
       min(request_id),
       sum(prompt_tokens), sum(completion_tokens), sum(cache_read_input_tokens), sum(spend), sum(api_requests),
       sum(successful_requests), sum(failed_requests), sum(total_response_time_ms), sum(successful_requests),
       now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC'
FROM sums CROSS JOIN LATERAL jsonb_array_elements_text(tags) AS tag
GROUP BY tag, date, api_key, model, custom_llm_provider, endpoint
ORDER BY tag COLLATE "C", date COLLATE "C", api_key COLLATE "C", model COLLATE "C"
ON CONFLICT (tag, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint) DO UPDATE
SET prompt_tokens = t.prompt_tokens + EXCLUDED.prompt_tokens,
    completion_tokens = t.completion_tokens + EXCLUDED.completion_tokens,
    cache_read_input_tokens = t.cache_read_input_tokens + EXCLUDED.cache_read_input_tokens,
    spend = t.spend + EXCLUDED.spend,
    api_requests = t.api_requests + EXCLUDED.api_requests,
    successful_requests = t.successful_requests + EXCLUDED.successful_requests,
    failed_requests = t.failed_requests + EXCLUDED.failed_requests,
    total_response_time_ms = t.total_response_time_ms + EXCLUDED.total_response_time_ms,
    timed_requests = t.timed_requests + EXCLUDED.timed_requests,
    request_id = EXCLUDED.request_id,
    updated_at = EXCLUDED.updated_at;

INSERT INTO "LiteLLM_DailyModelUsage" AS t (
    date, model_group, model, custom_llm_provider, task_type, spend, prompt_tokens, completion_tokens, request_count,
    successful_requests, failed_requests, created_at, updated_at)
SELECT date, model_group, model, custom_llm_provider, 'uncategorized', sum(spend), sum(prompt_tokens),
       sum(completion_tokens), sum(api_requests), sum(successful_requests), sum(failed_requests),
       now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC'
FROM sums GROUP BY date, model_group, model, custom_llm_provider
ON CONFLICT (date, model_group, model, custom_llm_provider, task_type) DO UPDATE
SET spend = t.spend + EXCLUDED.spend,
    prompt_tokens = t.prompt_tokens + EXCLUDED.prompt_tokens,
    completion_tokens = t.completion_tokens + EXCLUDED.completion_tokens,
    request_count = t.request_count + EXCLUDED.request_count,
    successful_requests = t.successful_requests + EXCLUDED.successful_requests,
    failed_requests = t.failed_requests + EXCLUDED.failed_requests,
    updated_at = EXCLUDED.updated_at;

/*NO LEDGER*/ DROP VIEW counted;
COMMIT;
