"""What people who share a database may plant to run with the fold's power, and a witness of the power it ran with."""

from __future__ import annotations

# Every way to more power that a planted function tries; each is refused where it runs as the tables' owner.
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
DECLARE tried record; outcome text;
BEGIN
    FOR tried IN SELECT a.name, a.sql FROM planted.attempts AS a LOOP
        BEGIN
            EXECUTE tried.sql;
            outcome := 'DONE';
        EXCEPTION WHEN OTHERS THEN
            outcome := SQLSTATE;
        END;
        INSERT INTO planted.witness VALUES (carrier, tried.name, current_user, pg_backend_pid(), outcome);
    END LOOP;
    RETURN true;
END $$;
-- What may stand in an index must be called immutable; what it calls may write all the same.
CREATE FUNCTION planted.quiet(carrier text, value text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
$$ BEGIN PERFORM planted.climb(carrier); RETURN value; END $$;
CREATE FUNCTION planted.on_row() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM planted.climb(TG_ARGV[0]); RETURN NEW; END $$;
CREATE DOMAIN planted.watched AS text CHECK (planted.climb('domain'));
"""

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
}

# Names of pg_catalog's that SQL may use without a schema, planted by the low role.
SHADOWS = """
CREATE FUNCTION {schema}.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS
$$ SELECT planted.climb('shadow')::text $$;
CREATE FUNCTION {schema}.equal(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT planted.climb('shadow') $$;
CREATE OPERATOR {schema}.= (LEFTARG = text, RIGHTARG = text, FUNCTION = {schema}.equal);
CREATE FUNCTION {schema}.equal(bigint, text) RETURNS boolean LANGUAGE sql AS $$ SELECT planted.climb('shadow') $$;
CREATE OPERATOR {schema}.= (LEFTARG = bigint, RIGHTARG = text, FUNCTION = {schema}.equal);
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
