"""The wheel on each Python, with the LiteLLM and the psycopg that Cargo.toml names for it, records exactly.

conftest.py names the Pythons that this machine lacks.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from sdk.driving import assert_recorded

import versions
from harness.database import Database
from harness.interpreter import environment
from harness.postgres import PROJECT, make_tool

from .conftest import Distributions
from .pythons import HERE

SMOKE = Path(__file__).with_name("smoke.py")


@pytest.mark.parametrize("python", HERE, ids=lambda python: python.version)
def test_a_program_is_recorded_exactly(
    python: versions.Python, distributions: Distributions, uv: Path, database: Database, tmp_path: Path
) -> None:
    make_tool(f"python-{python.version}")
    executable = PROJECT / ".build" / f"venv-python-{python.version}" / "bin" / "python"
    site = tmp_path / "site"
    install = [uv, "pip", "install", "--quiet", "--python", executable, "--target", site, "--no-deps"]
    subprocess.run([*install, distributions.wheel], check=True)
    # Scenarios of tests/sdk are imported too.
    path = os.pathsep.join(map(str, (site, PROJECT / "tests" / "sdk")))
    done = subprocess.run(
        [executable, SMOKE],
        env=environment(database.url, PYTHONPATH=path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    ran = json.loads(done.stdout)
    assert ran.pop("versions") == [python.version, python.litellm, python.psycopg, str(site)]
    assert_recorded(database, ran)
    assert ran["calls"] == 11
