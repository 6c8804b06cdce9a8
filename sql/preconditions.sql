-- Conditions that must hold before anything is created: a UTF8 database (jsonb's strings and LiteLLM's ids are UTF-8),
-- and the role for recorders. Roles belong to the whole cluster. CREATE EXTENSION in another database may have created
-- the role already, or may create it at this moment.
DO $$
BEGIN
    IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = pg_catalog.format('litellm_spend needs a database with encoding UTF8, not %s',
                                        pg_catalog.getdatabaseencoding()),
            HINT = 'Create the database WITH ENCODING ''UTF8'' TEMPLATE template0.';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'litellm_spend_writer' AND rolcanlogin) THEN
        RAISE WARNING USING
            MESSAGE = 'the role litellm_spend_writer exists and may log in; this extension creates it without that right',
            HINT = 'Run ALTER ROLE litellm_spend_writer NOLOGIN, and find out who created the role.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'litellm_spend_writer') THEN
        BEGIN
            CREATE ROLE litellm_spend_writer NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
END
$$;
