"""The interpreters with the real LiteLLM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .driving import Interpreter


@pytest.fixture(scope="session")
def litellm(litellm_python: Path) -> Iterator[Interpreter]:
    """An interpreter with one version of LiteLLM and the callback; LiteLLM is loaded once for all tests."""
    with Interpreter(litellm_python) as interpreter:
        yield interpreter
