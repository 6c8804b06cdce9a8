-- For tools that can only INSERT or COPY. The column is text and not jsonb, because jsonb would fail the whole
-- statement for one malformed row or one \u0000.
CREATE VIEW litellm_spend.inbox AS SELECT NULL::text AS payload WHERE false;

CREATE TRIGGER insert_into_inbox INSTEAD OF INSERT ON litellm_spend.inbox
    FOR EACH ROW EXECUTE FUNCTION litellm_spend.insert_into_inbox();

COMMENT ON VIEW litellm_spend.inbox IS
    'Insert or COPY spend records here as JSON text. Each row is staged or goes to litellm_spend.rejected, so the view is always empty';
COMMENT ON COLUMN litellm_spend.inbox.payload IS 'One spend record (a JSON object) or an array of them';
COMMENT ON FUNCTION litellm_spend.insert_into_inbox() IS 'Trigger function of litellm_spend.inbox';
