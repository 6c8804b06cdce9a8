"""A database's owner plants operators in a schema that the database's search_path names first. The worker is a
superuser, and none of its statements runs them (invariant 10), even where its fold fails and where it ends."""

from __future__ import annotations

import pytest
from test_fuse import TRIED_ALONE

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_record

OWNER = "operators_owner"
PLANT = """
CREATE SCHEMA planted AUTHORIZATION {owner};
SET ROLE {owner};
DO $plant$
DECLARE of_type text; operator text;
BEGIN
    FOREACH of_type IN ARRAY ARRAY['bigint', 'integer', 'oid', 'text', 'xid8', 'boolean', 'timestamptz'] LOOP
        EXECUTE format($$
            CREATE FUNCTION planted.run(a %1$s, b %1$s) RETURNS boolean LANGUAGE plpgsql AS $body$
            BEGIN
                IF EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS s
                           WHERE s.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
                             AND s.backend_type OPERATOR(pg_catalog.=) 'litellm_spend worker') THEN
                    RAISE LOG 'PLANTED operator ran as %%', current_user;
                END IF;
                RETURN a OPERATOR(pg_catalog.=) b;
            END $body$ $$, of_type);
        EXECUTE format('CREATE OPERATOR planted.= (LEFTARG = %1$s, RIGHTARG = %1$s, FUNCTION = planted.run)', of_type);
    END LOOP;
END $plant$;
RESET ROLE"""


def planted(cluster: Cluster) -> Database:
    database = new_database(cluster)
    cluster.execute(f"CREATE ROLE {OWNER} LOGIN")
    database.execute(f'ALTER DATABASE "{database.name}" OWNER TO {OWNER}')
    database.execute(PLANT.format(owner=OWNER))
    with database.connect(user=OWNER) as owner:
        owner.execute(f'ALTER DATABASE "{database.name}" SET search_path = planted, pg_catalog, public')
    return database


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_no_worker_runs_them(own_cluster: Cluster, mode: str) -> None:
    database = planted(own_cluster)
    records = [spend_record(request_id=f"record {number}") for number in range(3)]
    database.record(records[0])
    database.wait_folded()
    refuse = 'ALTER TABLE "LiteLLM_SpendLogs" ADD CONSTRAINT refuse CHECK (false) NOT VALID'
    database.execute(refuse)
    database.record(records[1:])
    # The second start tries a row alone, notes it, and forgets it when its fold has failed.
    for _ in range(3):
        database.wait_for("SELECT worker FROM litellm_spend.status", "held")
        own_cluster.restart(mode)
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    database.wait_for(TRIED_ALONE, False)
    database.execute('ALTER TABLE "LiteLLM_SpendLogs" DROP CONSTRAINT refuse')
    database.wait_folded()
    assert_counted(database, records)
    assert "PLANTED" not in own_cluster.log()
