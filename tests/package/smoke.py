"""An application that makes each kind of call, with a flush in between and none at its end: `python smoke.py`

It imports the scenarios of tests/sdk. It prints what the SDK reported and what it ran with, as one JSON line.
"""

from __future__ import annotations

import json
import sys
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
