"""Imports a module of the user's and prints, as one line of JSON, what it registers with LiteLLM.

The doctor runs this file as a program of its own, which imports nothing of this package. So it sees whether the module
itself makes the callback's names known. Usage: probe.py MODULE VARIABLE...
"""

from __future__ import annotations

import importlib
import json
import os
import sys


def main() -> None:
    module, *variables = sys.argv[1:]
    # What the module prints goes to stderr, so that the result is alone.
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # The application's folder takes the place of this file's folder.
    sys.path[0] = os.getcwd()
    try:
        importlib.import_module(module)
        found = look()
    except BaseException as error:
        # Its message may hold a secret.
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        found = {"error": type(error).__name__, "missing": missing}
    found["variables"] = {name: os.environ[name] for name in variables if name in os.environ}
    print(json.dumps(found), file=result, flush=True)


def look() -> dict[str, object]:
    """The loggers and names in LiteLLM's lists of callbacks."""
    litellm = sys.modules.get("litellm")
    package = sys.modules.get("litellm_spend")
    callbacks = list(getattr(litellm, "callbacks", []))
    others = [*getattr(litellm, "success_callback", []), *getattr(litellm, "failure_callback", [])]
    loggers = [callback for callback in callbacks if is_logger(callback)]
    names = ("litellm_spend", "prisma_proxy")
    return {
        "loggers": len(loggers),
        "names": [name for name in callbacks if isinstance(name, str) and name in names],
        "elsewhere": any(is_logger(other) for other in others),
        "package": package is not None,
        "url": next((url for url in map(own_url, loggers) if url), None),
    }


def is_logger(callback: object) -> bool:
    return any(kind.__module__.startswith("litellm_spend.") for kind in type(callback).__mro__)


def own_url(logger: object) -> str | None:
    """The URL that the logger was made with; None if it takes the variables'."""
    url = getattr(getattr(getattr(logger, "_sender", None), "connection", None), "_url", None)
    return url if isinstance(url, str) else None


main()
