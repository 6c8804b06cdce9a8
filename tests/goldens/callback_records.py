"""Prints what the callback makes of each request of the golden cases: {case: [record, ...]} as JSON.

Run by an interpreter with LiteLLM and the callback; reads cases.jsonl from standard input.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from litellm_spend import spend_record
from litellm_spend._record.encode import encode


def revive(value: dict[str, Any]) -> Any:
    """Read the goldens' own notation for numbers that JSON lacks."""
    return float(value["$nonfinite"]) if "$nonfinite" in value else value


def sent(request: dict[str, Any]) -> Any:
    payload = request["standard_logging_object"]
    kwargs = {**request["kwargs_subset"], "standard_logging_object": payload}
    record = spend_record(kwargs, payload.get("response"))
    assert record is not None
    return json.loads(encode(record))


cases = [json.loads(line, object_hook=revive) for line in sys.stdin]
print(json.dumps({case["name"]: [sent(request) for request in case["requests"]] for case in cases}))
