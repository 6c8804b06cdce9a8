"""The SDK of each version of LiteLLM."""

from __future__ import annotations

import pytest

import versions
from conftest import Interpreters
from harness.interpreter import Interpreter

from .driving import Sdk


@pytest.fixture(scope="session")
def litellm(interpreter: Interpreter) -> Sdk:
    """One version of LiteLLM with the callback."""
    return Sdk(interpreter)


@pytest.fixture(scope="session")
def newest(interpreters: Interpreters) -> Sdk:
    """The newest LiteLLM, for tests in which the version makes no difference."""
    return Sdk(interpreters(versions.LITELLM[-1]))
