"""Interleavings of recorders, folds and others, step by step, with Postgres' own isolationtester.

Each spec of specs/ follows prelude.spec and must print just what its file in expected/ holds, on every major. A line
`# settings: NAME = VALUE` at its top changes the cluster's settings for it.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cluster import Cluster
from harness.database import Database
from harness.postgres import PROJECT, isolationtester, libdir

ISOLATION = Path(__file__).parent
SPECS = sorted((ISOLATION / "specs").glob("*.spec"))
# A fold waits for a row at most half of deadlock_timeout. Here this is long enough for each spec to let it go on.
SETTINGS = {
    "shared_preload_libraries": "",
    "deadlock_timeout": "120s",
    "litellm_spend.lock_timeout": "1min",
    "litellm_spend.truncate_delay": "0",
}


@pytest.fixture(scope="module")
def patient_database() -> Iterator[Database]:
    """A database for all specs, each of which recreates its contents.

    Its server has no worker, and folds there wait long for locks and truncate at once.
    """
    with Cluster(SETTINGS) as cluster:
        database = Database(cluster, "postgres")
        yield database
        database.close()
        assert cluster.crashes() == []


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_spec(patient_database: Database, spec: Path) -> None:
    own_settings = settings_of(spec)
    change(patient_database, own_settings)
    try:
        printed = run(patient_database.url, spec)
    finally:
        change(patient_database, {name: SETTINGS[name] for name in own_settings})
    expected_file = ISOLATION / "expected" / f"{spec.stem}.out"
    expected = expected_file.read_text() if expected_file.exists() else ""
    shown = f"{expected_file.relative_to(PROJECT)}", "printed"
    diff = list(difflib.unified_diff(expected.splitlines(), printed.splitlines(), *shown, lineterm=""))
    assert diff == [], "\n".join(["the interleaving has another outcome:", *diff])


def test_every_expected_output_has_its_spec() -> None:
    assert [file.stem for file in sorted((ISOLATION / "expected").iterdir())] == [spec.stem for spec in SPECS]


def run(url: str, spec: Path) -> str:
    """The output of isolationtester for the spec. It must exit with success by itself."""
    text = (ISOLATION / "prelude.spec").read_text() + spec.read_text()
    # The library of the server under test, which may be newer than the system's.
    environment = {**os.environ, "LD_LIBRARY_PATH": str(libdir()), "PG_TEST_TIMEOUT_DEFAULT": "60"}
    done = subprocess.run([isolationtester(), url], input=text, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{spec.name}: isolationtester failed: {done.stderr.strip()}\n{done.stdout}"
    # Process ids differ from run to run.
    return re.sub(r"process \d+", "process N", done.stdout)


def settings_of(spec: Path) -> dict[str, str]:
    return dict(re.findall(r"^# settings: (\S+) = (\S+)$", spec.read_text(), re.MULTILINE))


def change(database: Database, settings: dict[str, str]) -> None:
    """Change settings of the running server, and wait until its sessions have them."""
    for name, value in settings.items():
        database.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    database.execute("SELECT pg_reload_conf()")
    for name, value in settings.items():
        database.wait_for(f"SELECT pg_catalog.current_setting('{name}')", value)
