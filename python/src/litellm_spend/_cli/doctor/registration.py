"""Whether the application registers the callback with LiteLLM."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..database import CALLBACKS_VARIABLES, Url
from .finding import Finding, ok, problem, unknown

SUBJECT = "callback"
_PROBE = Path(__file__).with_name("probe.py")
_SECONDS = 150
_REGISTER = "write litellm.callbacks = [litellm_spend.SpendLogger()]"
_NAMES = 'the names "litellm_spend" and "prisma_proxy" stand for the callback only after import litellm_spend'


@dataclass(frozen=True)
class Registered:
    """What is known of the registration, and where the registered logger finds its database."""

    finding: Finding
    url: Url | None = None
    variables: dict[str, str] = field(default_factory=dict, repr=False)


def look(module: str | None) -> Registered:
    """Imports the module in a process of its own, and looks at LiteLLM's lists of callbacks."""
    if module is None:
        return Registered(
            unknown(SUBJECT, f"not looked at: pass --import MODULE, the module that sets litellm.callbacks; {_NAMES}")
        )
    found = _probe(module)
    if found is None:
        return Registered(
            unknown(
                SUBJECT,
                f"the import of {module} did not end within {_SECONDS} s, or ended the process: "
                "name a module that sets litellm.callbacks and starts no server",
            )
        )
    variables = {name: str(value) for name, value in found["variables"].items()}
    if "error" in found:
        reason = f"no module named {found['missing']}" if found["missing"] else found["error"]
        advice = f"python -c 'import {module}' shows why"
        return Registered(unknown(SUBJECT, f"{module} cannot be imported ({reason}): {advice}"), None, variables)
    url = Url(found["url"], f"the logger of {module}") if found["url"] else None
    return Registered(judge(module, found), url, variables)


def judge(module: str, found: dict[str, Any]) -> Finding:
    """The line for what the probe found."""
    names = ", ".join(f'"{name}"' for name in found["names"])
    if found["loggers"] == 1:
        return ok(SUBJECT, f"{module} registers a SpendLogger in litellm.callbacks")
    if found["loggers"]:
        return problem(
            SUBJECT, f"{module} registers {found['loggers']} SpendLoggers, which send each record again: register one"
        )
    if names and found["package"]:
        return ok(SUBJECT, f"{module} registers the name {names} in litellm.callbacks")
    if names:
        return problem(SUBJECT, f"{module} names {names} without import litellm_spend, so nothing is recorded: add it")
    if found["elsewhere"]:
        return problem(
            SUBJECT,
            f"{module} registers it in success_callback or failure_callback alone, where LiteLLM gives it no async "
            f"streams or no successes: {_REGISTER}",
        )
    return problem(SUBJECT, f"{module} does not register it in litellm.callbacks: {_REGISTER}; {_NAMES}")


def _probe(module: str) -> dict[str, Any] | None:
    command = [sys.executable, str(_PROBE), module, *CALLBACKS_VARIABLES]
    try:
        output = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
        ).stdout
    except subprocess.TimeoutExpired as late:
        # The module's own threads may keep the process alive after the result is there.
        output = late.stdout or b""
    try:
        found: dict[str, Any] = json.loads(output)
    except ValueError:
        return None
    return found
