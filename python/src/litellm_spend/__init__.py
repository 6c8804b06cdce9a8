"""Records the spend of each LiteLLM SDK call in Postgres, with the litellm_spend extension.

`litellm.callbacks = [SpendLogger()]`, or, after `import litellm_spend`, `litellm.callbacks = ["litellm_spend"]`.
The rules of counting are in the server. This package captures, queues and sends.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from ._record.capture import spend_record

if TYPE_CHECKING:
    from ._logger import SpendLogger
    from ._prisma_proxy_logger import PrismaProxyLogger

    handler: SpendLogger

__all__ = ["PrismaProxyLogger", "SpendLogger", "handler", "spend_record"]
__version__ = "0.1.0"

_lock = threading.RLock()
# The classes whose modules load LiteLLM.
_CLASSES = {"PrismaProxyLogger": "._prisma_proxy_logger", "SpendLogger": "._logger"}


def __getattr__(name: str) -> Any:
    """A class loads LiteLLM; `handler` is one logger for the process, created at its first use."""
    if name in _CLASSES:
        if importlib.util.find_spec("litellm") is None:
            raise ImportError("litellm_spend finds no LiteLLM: run pip install 'litellm>=1.79'")
        return getattr(importlib.import_module(_CLASSES[name], __name__), name)
    if name == "handler":
        with _lock:
            if "handler" not in globals():
                globals()["handler"] = __getattr__("SpendLogger")()
            return globals()["handler"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _registered_logger() -> Any:
    """The logger that a name stands for: the one that the application has registered, else `handler`."""
    import litellm

    from ._logger import SpendLogger

    registered = [logger for logger in litellm.callbacks if isinstance(logger, SpendLogger)]
    logger = registered[0] if registered else __getattr__("handler")
    # LiteLLM calls no hook before the first call if the name is in success_callback alone.
    logger.attach_sync_delivery()
    return logger


def _is_command_line() -> bool:
    """Whether this process is the package's own command line. That needs no LiteLLM, whose import takes seconds."""
    program = os.path.splitext(os.path.basename(sys.argv[0] if sys.argv else ""))[0]
    return program == "litellm-spend" or sys.orig_argv[1:3] == ["-m", "litellm_spend"]


def _free_lock() -> None:
    """In a forked child, where the lock stays held for ever if another thread of the parent held it."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_lock)
if not _is_command_line() and importlib.util.find_spec("litellm") is not None:
    from ._litellm.registration import register_names

    register_names(_registered_logger)
