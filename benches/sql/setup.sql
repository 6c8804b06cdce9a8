-- Objects that the measurements need in addition to the extension and LiteLLM's tables.
CREATE SCHEMA bench;
-- The table that a bare insert fills.
CREATE TABLE bench.bare (payload jsonb);
-- The memory of request ids for the fold in plain SQL, with the columns of the extension's ledger.
CREATE TABLE bench.ledger (
    request_hash uuid PRIMARY KEY,
    call_hash    bigint
);

-- Empties LiteLLM's tables and creates the entities that the records name.
CREATE FUNCTION bench.reset_targets(users bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE "LiteLLM_SpendLogs", "LiteLLM_SpendLogToolIndex", "LiteLLM_DailyUserSpend", "LiteLLM_DailyTeamSpend",
             "LiteLLM_DailyTagSpend", "LiteLLM_DailyOrganizationSpend", "LiteLLM_DailyEndUserSpend",
             "LiteLLM_DailyAgentSpend", "LiteLLM_DailyModelUsage", "LiteLLM_DailyToolSpend",
             "LiteLLM_DailyRequestErrors", "LiteLLM_UserTable", "LiteLLM_VerificationToken", "LiteLLM_TeamTable",
             "LiteLLM_TeamMembership", "LiteLLM_TagTable" CASCADE;
    INSERT INTO "LiteLLM_TeamTable" (team_id) SELECT 'team-' || t FROM generate_series(0, 49) AS t;
    INSERT INTO "LiteLLM_TagTable" (tag_name) SELECT 'tag-' || t FROM generate_series(0, 49) AS t;
    INSERT INTO "LiteLLM_UserTable" (user_id) SELECT 'user-' || u FROM generate_series(1000, 999 + users) AS u;
    INSERT INTO "LiteLLM_VerificationToken" (token, user_id, team_id)
        SELECT lpad(u::text, 64, 'a'), 'user-' || u, 'team-' || u % 50 FROM generate_series(1000, 999 + users) AS u;
    INSERT INTO "LiteLLM_TeamMembership" (team_id, user_id)
        SELECT 'team-' || u % 50, 'user-' || u FROM generate_series(1000, 999 + users) AS u;
END
$$;

-- Stages the records of these calls in one call, in no order. Each user uses that many models.
CREATE FUNCTION bench.stage(first_call bigint, last_call bigint, users bigint, models bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM litellm_record_spend(jsonb_agg(bench.document(n, 1000 + k % users, k / users)))
    FROM (SELECT n, (hashint8extended(n, 0) & 1073741823) % (users * models) AS k
          FROM generate_series(first_call, last_call) AS n) AS calls;
END
$$;

-- Arrays of records for the calls, built in advance and stored uncompressed, so that reading one costs little.
CREATE TABLE bench.batches (
    n       bigint PRIMARY KEY,
    payload jsonb NOT NULL
);
ALTER TABLE bench.batches ALTER payload SET STORAGE EXTERNAL;
CREATE SEQUENCE bench.next_batch;

CREATE FUNCTION bench.make_batches(batches bigint, records bigint, users bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE bench.batches;
    INSERT INTO bench.batches
    SELECT b, (SELECT jsonb_agg(bench.document(n, 1000 + (hashint8extended(n, 0) & 1073741823) % users, n % 10))
               FROM generate_series(b * records, b * records + records - 1) AS n)
    FROM generate_series(1, batches) AS b;
END
$$;

-- Fills LiteLLM's log with narrow rows of earlier days.
CREATE FUNCTION bench.fill_log(rows bigint) RETURNS void LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, spend, "startTime", "endTime", session_id)
    SELECT 'chatcmpl-' || md5(n::text), 'acompletion', 0.25, moment, moment, md5((n / 4)::text)
    FROM generate_series(1, rows) AS n
    CROSS JOIN LATERAL (SELECT timestamp '2026-02-01' + n * interval '0.4 s' AS moment) AS m;
END;
