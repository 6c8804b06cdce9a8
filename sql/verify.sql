-- Tells whether the log of a day still holds what folds have counted. rebuild() trusts no other log.
CREATE TABLE litellm_spend.counted_days (
    date        date PRIMARY KEY,
    requests    bigint NOT NULL,
    fingerprint bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE litellm_spend.counted_days IS 'Requests that folds have counted, by the UTC day on which the log shows them';
COMMENT ON COLUMN litellm_spend.counted_days.date IS 'The UTC day';
COMMENT ON COLUMN litellm_spend.counted_days.requests IS 'How many requests';
COMMENT ON COLUMN litellm_spend.counted_days.fingerprint IS 'Exclusive or of the hashes of the request ids';
