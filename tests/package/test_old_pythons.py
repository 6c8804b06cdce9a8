"""pip on a Python that is too old refuses the package with one sentence. conftest.py names the Pythons not found."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import interpreters
import versions
from harness.postgres import PROJECT

from .conftest import Distributions
from .pythons import TOO_OLD_HERE

NEEDED = f">={versions.PYTHON[0].version}"
MOST_LINES = 15


@pytest.fixture(scope="module", params=TOO_OLD_HERE)
def old_python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An old Python with the pip that came with it."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([interpreters.find(request.param), "-m", "venv", venv], check=True)
    return venv / "bin" / "python"


def test_pip_says_which_python_is_needed(old_python: Path, distributions: Distributions) -> None:
    version = subprocess.check_output([old_python, "-c", "print(__import__('platform').python_version())"], text=True)
    for source in (PROJECT / "python", distributions.sdist):
        # Without an index: nothing is asked for that such a Python cannot install.
        install = [old_python, "-m", "pip", "--disable-pip-version-check", "install", "--no-index", source]
        done = subprocess.run(install, capture_output=True, text=True)
        said = (done.stdout + done.stderr).strip().splitlines()
        assert done.returncode == 1
        sentence = f"ERROR: Package 'litellm-spend' requires a different Python: {version.strip()} not in '{NEEDED}'"
        assert said[-1] == sentence
        assert len(said) < MOST_LINES and not any("Traceback" in line for line in said), said


def test_a_build_says_it_too(old_python: Path, tmp_path: Path) -> None:
    wheel = [old_python, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-index", "--ignore-requires-python"]
    done = subprocess.run([*wheel, "-w", tmp_path, PROJECT / "python"], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"litellm_spend needs Python {NEEDED}. This is Python 3." in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
