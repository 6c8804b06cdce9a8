"""The built distributions of python/, and Pythons to install them into. A Python that this machine lacks is named."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

import interpreters
import versions
from conftest import tell
from harness.postgres import PROJECT, make_tool

from .pythons import TOO_OLD

FOLDER = Path(__file__).parent


class Distributions(NamedTuple):
    wheel: Path
    sdist: Path


def pytest_collection_finish(session: pytest.Session) -> None:
    # Where several processes run the tests, each collects all of them.
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        return
    if not any(item.path.parent == FOLDER for item in session.items):
        return
    for version in [*TOO_OLD, *(python.version for python in versions.PYTHON)]:
        if interpreters.find(version) is None:
            tell(session.config, "Pythons that are not on this machine", f"Python {version}: nothing was tested on it")


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """What `make package` builds."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([PROJECT / "scripts" / "package.sh", folder], check=True)
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    assert len(list(folder.iterdir())) == 2
    return Distributions(wheel, sdist)


@pytest.fixture(scope="session")
def uv() -> Path:
    make_tool("uv")
    return PROJECT / ".build" / "venv-uv" / "bin" / "uv"


@pytest.fixture(scope="session", autouse=True)
def without_callers_settings() -> None:
    """Neither the caller's database nor the caller's modules are for the programs of these tests."""
    for name in ("DATABASE_URL", "PYTHONPATH"):
        os.environ.pop(name, None)
