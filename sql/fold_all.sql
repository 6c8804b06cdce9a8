-- For pg_cron and servers without the preload line. With SECURITY DEFINER or a SET clause it could not commit, so
-- every name here is qualified.
CREATE PROCEDURE litellm_spend.fold_all()
LANGUAGE plpgsql
AS $$
BEGIN
    WHILE litellm_spend.fold() OPERATOR(pg_catalog.>) 0 LOOP
        COMMIT;
    END LOOP;
END
$$;
