-- The rows and sums of each target. They are equal after two folds of the same records, whoever folded.
SELECT 'user' AS target, count(*) AS rows, sum(spend)::numeric(20, 6) AS spend, NULL::numeric AS requests, NULL::numeric AS tokens
FROM "LiteLLM_UserTable"
UNION ALL
SELECT 'key', count(*), sum(spend + total_spend)::numeric(20, 6), NULL, NULL FROM "LiteLLM_VerificationToken"
UNION ALL
SELECT 'team', count(*), sum(spend)::numeric(20, 6), NULL, NULL FROM "LiteLLM_TeamTable"
UNION ALL
SELECT 'member', count(*), sum(spend + total_spend)::numeric(20, 6), NULL, NULL FROM "LiteLLM_TeamMembership"
UNION ALL
SELECT 'tag', count(*), sum(spend)::numeric(20, 6), NULL, NULL FROM "LiteLLM_TagTable"
UNION ALL
SELECT 'daily user', count(*), sum(spend)::numeric(20, 6),
       sum(api_requests + successful_requests + timed_requests + failed_requests),
       sum(prompt_tokens + completion_tokens + cache_read_input_tokens + total_response_time_ms)
FROM "LiteLLM_DailyUserSpend"
UNION ALL
SELECT 'daily team', count(*), sum(spend)::numeric(20, 6),
       sum(api_requests + successful_requests + timed_requests + failed_requests),
       sum(prompt_tokens + completion_tokens + cache_read_input_tokens + total_response_time_ms)
FROM "LiteLLM_DailyTeamSpend"
UNION ALL
SELECT 'daily tag', count(*), sum(spend)::numeric(20, 6),
       sum(api_requests + successful_requests + timed_requests + failed_requests),
       sum(prompt_tokens + completion_tokens + cache_read_input_tokens + total_response_time_ms)
FROM "LiteLLM_DailyTagSpend"
UNION ALL
SELECT 'model usage', count(*), sum(spend)::numeric(20, 6), sum(request_count + successful_requests),
       sum(prompt_tokens + completion_tokens)
FROM "LiteLLM_DailyModelUsage";
