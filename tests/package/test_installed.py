"""The distributions in a clean environment without LiteLLM: what works there, and what is said about the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.postgres import PROJECT

from .conftest import Distributions

# The hashes of what the package needs: a part of what this file pins.
PINNED = PROJECT / "tests" / "requirements-tests.txt"


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def python(
    request: pytest.FixtureRequest, distributions: Distributions, uv: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The Python of an environment that holds this distribution and what it needs."""
    venv = tmp_path_factory.mktemp("venv")
    install = [uv, "pip", "install", "--quiet", "--python", venv, "--constraint", PINNED]
    distribution = getattr(distributions, request.param)
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, "--clear", venv],
        [*install, f"litellm_spend[binary] @ {distribution.as_uri()}"],
    ):
        subprocess.run(command, check=True)
    return venv / "bin" / "python"


def run(python: Path, code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-c", code], cwd=folder, capture_output=True, text=True)


def test_a_record_is_made_without_litellm(python: Path, tmp_path: Path) -> None:
    code = """
import litellm_spend, sys
payload = {"id": "1", "call_type": "completion", "status": "success", "response_cost": 0.5}
record = litellm_spend.spend_record({"standard_logging_object": payload})
assert record["response_cost"] == 0.5 and record["id"] == "1", record
assert "litellm" not in sys.modules
"""
    done = run(python, code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["SpendLogger", "handler"])
def test_the_callback_says_what_to_install(python: Path, name: str, tmp_path: Path) -> None:
    done = run(python, f"from litellm_spend import {name}", tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == "ImportError: litellm_spend finds no LiteLLM: run pip install 'litellm>=1.79'"


def test_the_types_are_known_to_type_checkers(python: Path, tmp_path: Path) -> None:
    program = tmp_path / "application.py"
    program.write_text("import litellm_spend\nreveal_type(litellm_spend.spend_record({}))\n")
    command = [sys.executable, "-m", "mypy", "--python-executable", python, "--cache-dir", tmp_path / "cache", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    # Without py.typed it would be Any.
    assert 'Revealed type is "dict[str, Any] | None"' in done.stdout.replace("builtins.", "")
