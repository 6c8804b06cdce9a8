"""The SDK of each version of LiteLLM, as for the tests of sdk/, and the command line."""

from __future__ import annotations

from sdk.conftest import litellm, newest

from .command_line import command_line, command_line_without_extra, roles

__all__ = ["command_line", "command_line_without_extra", "litellm", "newest", "roles"]
