"""The SDK of each version of LiteLLM, as for the tests of sdk/, the command line, and the recipes' applications."""

from __future__ import annotations

from sdk.conftest import litellm, newest

from .command_line import command_line, command_line_without_extra, roles
from .recipes import answers, recipe

__all__ = ["answers", "command_line", "command_line_without_extra", "litellm", "newest", "recipe", "roles"]
