-- For pg_cron and for servers that do not preload the library. With SECURITY DEFINER or a SET clause the procedure
-- could not commit, so every name here is qualified.
CREATE PROCEDURE litellm_spend.fold_all()
LANGUAGE plpgsql
AS $$
BEGIN
    WHILE litellm_spend.fold() OPERATOR(pg_catalog.>) 0 LOOP
        COMMIT;
    END LOOP;
END
$$;
