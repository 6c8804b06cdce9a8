"""A plugin for runs in several processes (pytest -n auto --dist loadfile): how many, and which file comes first.

Without -n it does nothing that shows.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Processes for each core, because a test waits for most of its time.
PROCESSES = 2
# Files that take long come first, so that no process is left with one at the end. Files that wait alternate with files
# that compute, so that both get what they need.
FIRST = (
    "proxy/test_same_as_litellms_writer.py",
    "sdk/test_workers.py",
    "proxy/test_modes.py",
    "server/recording/test_held_snapshot.py",
    "sdk/test_calls.py",
    "proxy/test_budgets.py",
    "mixed/test_mixed_run.py",
    "sdk/test_adversity.py",
    "proxy/test_cutover.py",
    "server/recording/test_staging.py",
    "server/folding/test_crashes.py",
    "server/verify/test_verify.py",
    "sdk/test_registration.py",
    "proxy/test_sigterm.py",
    "server/worker/test_lifecycle.py",
    "docs/test_docs.py",
    "goldens/test_older_schemas.py",
    "server/recording/test_inbox.py",
    "sdk/test_database_url.py",
    "server/folding/test_wide_folds.py",
    "server/verify/test_rebuild.py",
    "sdk/test_failures.py",
    "server/duplicates/test_ledger.py",
    "goldens/test_cases.py",
    "server/folding/test_folding.py",
    "sdk/test_fields.py",
    "server/backup_and_replication/test_adoption.py",
    "sdk/test_identities.py",
    "server/targets/test_environment.py",
    "server/folding/test_beside_a_proxy.py",
    "secrets/test_secrets_of_the_sdk.py",
    "server/backup_and_replication/test_standby.py",
    "goldens/test_callback_records.py",
    "goldens/test_litellm_ledger.py",
    "chaos/test_chaos.py",
    "server/duplicates/test_ledger_rotation.py",
    "schemas/test_versions.py",
    "reader/test_reader.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means."""
    return PROCESSES * (os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    # xdist would begin with the files that have the most tests.
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {file: place for place, file in enumerate(FIRST)}
    folder = Path(__file__).parents[1]
    items.sort(key=lambda item: places.get(item.path.relative_to(folder).as_posix(), len(FIRST)))
