"""Objects that people who share a database may plant to run with the fold's power, and a witness of that power."""

from __future__ import annotations

# A planted function tries each of these ways to more power. Postgres refuses each if it runs as the tables' owner.
ATTEMPTS = {
    "ALTER ROLE SUPERUSER": "ALTER ROLE escalation_low SUPERUSER",
    "SET ROLE": "SET ROLE postgres",
    "SET SESSION AUTHORIZATION": "SET SESSION AUTHORIZATION postgres",
    "RESET SESSION AUTHORIZATION": "RESET SESSION AUTHORIZATION",
    "COPY TO PROGRAM": "COPY (SELECT 1) TO PROGRAM 'true'",
    "GRANT": "GRANT pg_execute_server_program TO escalation_low",
    "GRANT on staging": "GRANT ALL ON ALL TABLES IN SCHEMA litellm_spend TO escalation_low",
    "ALTER SYSTEM": "ALTER SYSTEM SET work_mem = '1MB'",
    "target_schema": "SELECT set_config('litellm_spend.target_schema', 'planted', false)",
    "temporary table": "CREATE TEMP TABLE staging (payload jsonb)",
    "read staging": "SELECT count(*) FROM litellm_spend.staging_0",
    "read passwords": "SELECT count(*) FROM pg_catalog.pg_authid",
}

WITNESS = """
CREATE SCHEMA planted;
GRANT USAGE ON SCHEMA planted TO PUBLIC;
CREATE TABLE planted.attempts (sql text, name text);
CREATE TABLE planted.witness (carrier text, attempt text, who text, pid int, outcome text);
GRANT ALL ON ALL TABLES IN SCHEMA planted TO PUBLIC;
CREATE FUNCTION planted.climb(carrier text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE tried record; outcome text; done text := '';
BEGIN
    FOR tried IN SELECT a.name, a.sql FROM planted.attempts AS a LOOP
        BEGIN
            EXECUTE tried.sql;
            outcome := 'DONE';
            done := done || ' ' || tried.name;
        EXCEPTION WHEN OTHERS THEN
            outcome := SQLSTATE;
        END;
        INSERT INTO planted.witness VALUES (carrier, tried.name, current_user, pg_backend_pid(), outcome);
    END LOOP;
    -- Rows go with a fold that fails; the server's log stays.
    RAISE LOG 'planted <%> ran as <%> and did <%>', carrier, current_user, done;
    RETURN true;
END $$;
CREATE TYPE planted.word AS ENUM ('', 'None');
CREATE FUNCTION planted.to_word(text) RETURNS planted.word LANGUAGE plpgsql AS
$$ BEGIN PERFORM planted.climb('cast'); RETURN ''::planted.word; END $$;
CREATE TABLE planted.queued (name text);
GRANT INSERT ON planted.queued TO PUBLIC;
CREATE FUNCTION planted.put_off() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM planted.climb(TG_ARGV[0]);
    SET CONSTRAINTS ALL DEFERRED;
    INSERT INTO planted.queued VALUES (TG_ARGV[0]);
    RETURN NULL;
EXCEPTION WHEN insufficient_privilege THEN
    IF TG_ARGV[1] = 'insists' THEN RAISE; END IF;
    PERFORM planted.climb(TG_ARGV[0]);
    RETURN NULL;
END $$;
-- What may stand in an index must be called immutable; what it calls may write all the same.
CREATE FUNCTION planted.quiet(carrier text, value text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
$$ BEGIN PERFORM planted.climb(carrier); RETURN value; END $$;
CREATE FUNCTION planted.on_row() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM planted.climb(TG_ARGV[0]); RETURN NEW; END $$;
CREATE DOMAIN planted.watched AS text CHECK (planted.climb('domain'));
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON planted.queued DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION planted.on_row('queued trigger');
"""

# Casts that the low role creates for a type that it owns. Casts belong to no schema, so no search_path excludes them.
CASTS = "CREATE CAST (text AS planted.word) WITH FUNCTION planted.to_word(text) AS ASSIGNMENT"

# {what the tables' owner plants in its table: how}; each calls `climb` with its own name.
CARRIERS = {
    "row trigger": "CREATE TRIGGER a BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW "
    "EXECUTE FUNCTION planted.on_row('row trigger')",
    "statement trigger": "CREATE TRIGGER b AFTER INSERT OR UPDATE ON {table} "
    "EXECUTE FUNCTION planted.on_row('statement trigger')",
    "deferred trigger": "CREATE CONSTRAINT TRIGGER c AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION planted.on_row('deferred trigger')",
    "default": "ALTER TABLE {table} ADD COLUMN d text; "
    "ALTER TABLE {table} ALTER COLUMN d SET DEFAULT planted.climb('default')::text",
    "check": "ALTER TABLE {table} ADD CHECK (planted.climb('check'))",
    "generated column": "ALTER TABLE {table} ADD COLUMN g text "
    "GENERATED ALWAYS AS (planted.quiet('generated column', 'x')) STORED",
    "index expression": "CREATE INDEX ON {table} ((planted.quiet('index expression', {column})))",
    "index predicate": "CREATE INDEX ON {table} ({column}) "
    "WHERE planted.quiet('index predicate', {column}) IS NOT NULL",
    "domain": "ALTER TABLE {table} ADD COLUMN w planted.watched",
    "trigger that defers": "CREATE CONSTRAINT TRIGGER e AFTER INSERT OR UPDATE ON {table} "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION planted.put_off('trigger that defers', 'gives in')",
}
# A fold casts texts to the type of this one column of the log alone.
CAST_CARRIER = """ALTER TABLE "LiteLLM_SpendLogs" ALTER COLUMN cache_key DROP DEFAULT,
    ALTER COLUMN cache_key TYPE planted.word USING NULL"""

USERS = '"LiteLLM_UserTable"'
_VIEW = f"ALTER TABLE {USERS} RENAME TO users_kept; CREATE VIEW {USERS} AS SELECT {{}} FROM users_kept"
_VIEW_IS_GONE = f"DROP VIEW {USERS}; ALTER TABLE users_kept RENAME TO {USERS}"
_NO_TABLE = ('public."LiteLLM_UserTable" is not a table', "Rename the view")
_RULE = ('rule planted of public."LiteLLM_UserTable" rewrites', "Drop the rule")
_DAILY_RULE = ('rule planted of public."LiteLLM_DailyUserSpend" rewrites', "Drop the rule")

# {object in place of a table, or between it and its writers: (how it is planted, how it is removed, what the fold
# says, what to do about it)}
OBSTACLES = {
    "view with a function": (
        _VIEW.format("planted.quiet('view', user_id) AS user_id, spend"),
        _VIEW_IS_GONE,
        *_NO_TABLE,
    ),
    "view with INSTEAD OF triggers": (
        f"{_VIEW.format('*')}; CREATE TRIGGER a INSTEAD OF INSERT OR UPDATE ON {USERS} "
        "FOR EACH ROW EXECUTE FUNCTION planted.on_row('INSTEAD OF trigger')",
        _VIEW_IS_GONE,
        *_NO_TABLE,
    ),
    "updatable view of another's table": (_VIEW.format("*"), _VIEW_IS_GONE, *_NO_TABLE),
    "rule INSTEAD OF updates": (
        f"CREATE RULE planted AS ON UPDATE TO {USERS} DO INSTEAD SELECT planted.climb('rule')",
        f"DROP RULE planted ON {USERS}",
        *_RULE,
    ),
    "rule beside inserts": (
        f"CREATE RULE planted AS ON INSERT TO {USERS} DO ALSO SELECT planted.climb('rule')",
        f"DROP RULE planted ON {USERS}",
        *_RULE,
    ),
    "rule beside deletions": (
        "CREATE RULE planted AS ON DELETE TO \"LiteLLM_DailyUserSpend\" DO ALSO SELECT planted.climb('rule')",
        'DROP RULE planted ON "LiteLLM_DailyUserSpend"',
        *_DAILY_RULE,
    ),
    "policy": (
        f"ALTER TABLE {USERS} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; "
        f"CREATE POLICY p ON {USERS} USING (planted.climb('policy')) WITH CHECK (planted.climb('policy'))",
        f"ALTER TABLE {USERS} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY; DROP POLICY p ON {USERS}",
        'query would be affected by row-level security policy for table "LiteLLM_UserTable"',
        "NO FORCE ROW LEVEL SECURITY",
    ),
    "trigger that queues a deferred one": (
        f"CREATE CONSTRAINT TRIGGER z AFTER INSERT OR UPDATE ON {USERS} DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION planted.put_off('queueing trigger', 'insists')",
        f"DROP TRIGGER z ON {USERS}",
        "cannot fire deferred trigger within security-restricted operation",
        "This code cannot change roles, create temporary tables or defer constraints",
    ),
}

# The low role plants these names of pg_catalog, which SQL may use without a schema.
SHADOWS = """
CREATE FUNCTION {schema}.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS
$$ SELECT planted.climb('shadow')::text $$;
CREATE FUNCTION {schema}.equal(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT planted.climb('shadow') $$;
CREATE OPERATOR {schema}.= (LEFTARG = text, RIGHTARG = text, FUNCTION = {schema}.equal);
CREATE FUNCTION {schema}.equal(bigint, text) RETURNS boolean LANGUAGE sql AS $$ SELECT planted.climb('shadow') $$;
CREATE OPERATOR {schema}.= (LEFTARG = bigint, RIGHTARG = text, FUNCTION = {schema}.equal);
CREATE FUNCTION {schema}.sum_up(float8, float8) RETURNS float8 LANGUAGE sql AS
$$ SELECT 0::float8 FROM planted.climb('shadow') $$;
CREATE OPERATOR {schema}.+ (LEFTARG = float8, RIGHTARG = float8, FUNCTION = {schema}.sum_up);
CREATE FUNCTION {schema}.sum_up(bigint, bigint) RETURNS bigint LANGUAGE sql AS
$$ SELECT 0::bigint FROM planted.climb('shadow') $$;
CREATE OPERATOR {schema}.+ (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = {schema}.sum_up);
CREATE FUNCTION {schema}.field(pg_catalog.jsonb, text) RETURNS text LANGUAGE sql AS
$$ SELECT planted.climb('shadow')::text $$;
CREATE OPERATOR {schema}.->> (LEFTARG = pg_catalog.jsonb, RIGHTARG = text, FUNCTION = {schema}.field);
CREATE FUNCTION {schema}.now() RETURNS timestamptz LANGUAGE sql AS
$$ SELECT pg_catalog.now() WHERE planted.climb('shadow') $$;
CREATE FUNCTION {schema}."coalesce"(text, text) RETURNS text LANGUAGE sql AS
$$ SELECT planted.climb('shadow')::text $$;
CREATE DOMAIN {schema}.text AS pg_catalog.text CHECK (planted.climb('shadow'));
CREATE DOMAIN {schema}.jsonb AS pg_catalog.jsonb CHECK (planted.climb('shadow'));
CREATE TABLE {schema}.pg_class (oid oid, relname name);
CREATE TABLE {schema}.staging_0 (payload pg_catalog.jsonb);
CREATE TABLE {schema}.rejected (payload pg_catalog.jsonb);
"""

# A role that may create a schema plants this where the extension is not. Each view runs a function as its reader.
PLANTED_SCHEMA = """
CREATE SCHEMA litellm_spend;
CREATE FUNCTION litellm_spend.climb() RETURNS SETOF bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE LOG 'PLANTED ran as <%>, session <%>', current_user, session_user;
    BEGIN
        EXECUTE 'ALTER ROLE low_owner SUPERUSER';
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
    RETURN;
END $$;
CREATE VIEW litellm_spend.fold_cursor AS
    SELECT o AS origin, '1:1:'::pg_snapshot AS folded_through, NULL::pg_snapshot AS open_window,
           NULL::xid8 AS position_xid, NULL::int AS position_seq
    FROM litellm_spend.climb() AS o;
CREATE VIEW litellm_spend.staging AS
    SELECT 0::smallint AS segment, '1'::xid8 AS xid, o AS origin, now() AS staged_at, 1::int AS seq,
           '{}'::jsonb AS payload
    FROM litellm_spend.climb() AS o;
CREATE VIEW litellm_spend.ledger AS SELECT NULL::uuid AS request_hash, o AS call_hash FROM litellm_spend.climb() AS o;
CREATE VIEW litellm_spend.rotation AS
    SELECT o AS origin, 0::smallint AS segment, NULL::timestamptz[] AS retired_at FROM litellm_spend.climb() AS o;
CREATE TABLE litellm_spend.ledger_rotation (x int);
CREATE TABLE litellm_spend.rejected (x int);
CREATE TABLE litellm_spend.counted_days (x int);
CREATE TABLE litellm_spend.new_entities (x int);
CREATE TABLE litellm_spend.postponed (x int);
CREATE TABLE litellm_spend.ledger_0 (x int);
CREATE TABLE litellm_spend.ledger_1 (x int);
CREATE TABLE litellm_spend.ledger_2 (x int);
CREATE TABLE litellm_spend.staging_0 (x int);
CREATE TABLE litellm_spend.staging_1 (x int);
CREATE TABLE litellm_spend.staging_2 (x int);
"""
