"""Registers the names "litellm_spend" and "prisma_proxy" for LiteLLM's callback lists.

LiteLLM has no public way to add a name. So this module appends to LiteLLM's list of known names and wraps the function
that turns a name into a logger. If LiteLLM has moved either, one warning shows how to register an object instead.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger("litellm_spend")

NAMES = ("litellm_spend", "prisma_proxy")


def register_names(make_logger: Callable[[], Any]) -> None:
    """Makes `NAMES` stand for `make_logger()`. Never raises."""
    try:
        import litellm
        from litellm.litellm_core_utils import litellm_logging

        known = litellm._known_custom_logger_compatible_callbacks
        original = litellm_logging._init_custom_logger_compatible_class
        if getattr(original, "_litellm_spend", False):
            return

        @functools.wraps(original)
        def build(logging_integration: Any, *args: Any, **kwargs: Any) -> Any:
            if logging_integration in NAMES:
                return make_logger()
            return original(logging_integration, *args, **kwargs)

        build._litellm_spend = True  # type: ignore[attr-defined]
        _replace_everywhere(original, build)
        known.extend(name for name in NAMES if name not in known)
    except Exception as error:
        log.warning(
            "this LiteLLM accepts no callback names from packages (%s): write "
            "litellm.callbacks = [litellm_spend.SpendLogger()] instead of a name",
            type(error).__name__,
        )


def _replace_everywhere(original: Any, replacement: Any) -> None:
    """Replaces the function in each loaded module of LiteLLM, because they import it by name."""
    import sys

    name = "_init_custom_logger_compatible_class"
    for module_name in ("litellm.litellm_core_utils.litellm_logging", "litellm.utils", "litellm.proxy.proxy_server"):
        module = sys.modules.get(module_name)
        if getattr(module, name, None) is original:
            setattr(module, name, replacement)
