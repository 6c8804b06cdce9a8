"""The SDK of each version of LiteLLM, as for the tests of sdk/."""

from __future__ import annotations

from sdk.conftest import litellm, newest

__all__ = ["litellm", "newest"]
