"""Warns once if a LiteLLM proxy's own writer is on while the callback records the same requests.

Most of these requests are charged twice. The fold skips only requests whose log row LiteLLM wrote before the fold.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from . import proxy

log = logging.getLogger("litellm_spend")


class BothWriters:
    """Checks the events of one logger until it has warned."""

    def __init__(self) -> None:
        self._has_warned = False

    def check(self, kwargs: Mapping[str, Any]) -> None:
        """Checks an event that becomes a record."""
        if (
            self._has_warned
            or not proxy.own_writer_is_on()
            or proxy.is_made_outside(kwargs.get("litellm_params") or {})
        ):
            return
        self._has_warned = True
        log.warning(
            "this LiteLLM proxy records its requests itself, and litellm_spend records them too: if both write to one "
            "database, most requests are charged twice. Set general_settings.disable_spend_updates to true, or remove "
            "litellm_spend from the proxy's callbacks"
        )
