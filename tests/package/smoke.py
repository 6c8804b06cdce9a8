"""An application that makes each kind of call, with a flush in between and none at its end: `python smoke.py`

It imports the scenarios of tests/sdk. It prints what the SDK reported and what it ran with, as one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import litellm
from scenarios import Reported, completions, mixed

import litellm_spend

BEFORE_FLUSH = 3


def main() -> None:
    logger = litellm_spend.SpendLogger()
    litellm.callbacks = [logger]
    reported = Reported()
    completions(reported, BEFORE_FLUSH)
    deadline = time.monotonic() + 60
    while logger.stats().captured < BEFORE_FLUSH:  # LiteLLM reports a call after it has returned
        assert time.monotonic() < deadline, f"60 s passed before {BEFORE_FLUSH} calls were captured: {logger.stats()}"
        time.sleep(0.01)
    assert logger.flush(60), f"not flushed: {logger.stats()}"
    assert logger.stats().sent == BEFORE_FLUSH, logger.stats()
    mixed(reported, 2)
    python = "{}.{}".format(*sys.version_info[:2])
    site = str(Path(litellm_spend.__file__).parents[1])
    print(
        json.dumps({**vars(reported), "versions": [python, version("litellm"), version("psycopg"), site]}), flush=True
    )


if __name__ == "__main__":
    main()
