"""A fold whose rows do not fit into memory leaves no temporary file open."""

from __future__ import annotations

from conftest import own_schema_database
from harness.cluster import Cluster
from harness.records import spend_records, totals


def test_a_fold_that_spills_rows_to_disk_closes_their_file() -> None:
    settings = {"shared_preload_libraries": "", "litellm_spend.batch_size": "1 GB", "log_temp_files": "0"}
    with Cluster(settings) as cluster:
        database = own_schema_database(cluster)
        large = {"metadata": {"spend_logs_metadata": {"text": "x" * 200_000}}}
        for part in range(4):
            database.record(spend_records(100, f"part-{part}", **large))
        assert database.fold() == 400
        assert "temporary file: path" in cluster.log(), "all rows fitted into memory"
        leaks = [line for line in cluster.log().splitlines() if "not closed" in line or "leak" in line]
        assert leaks == []
        assert totals(database)["logs"][0] == 400
