"""The SDK of each version of LiteLLM."""

from __future__ import annotations

import pytest

from harness.interpreter import Interpreter

from .driving import Sdk


@pytest.fixture(scope="session")
def litellm(interpreter: Interpreter) -> Sdk:
    """One version of LiteLLM with the callback."""
    return Sdk(interpreter)
