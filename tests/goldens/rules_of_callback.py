"""How what the callback of python/ sends differs from LiteLLM's own StandardLoggingPayload, whatever the case."""

from __future__ import annotations

from .expected import LOGS, Expected, rule
from .shapes import Shape


@rule("the callback sends the provider's address, which LiteLLM's payload has elsewhere", Shape.CALLBACK)
def real_api_base(expected: Expected) -> None:
    bases = [request.payload["hidden_params"]["api_base"] for request in expected.case.requests]
    expected.rewrite(LOGS, lambda row: {**row, "api_base": row["api_base"] or bases[0] or ""})


@rule("the callback sends no prompt and no response, even to a server that would store them", Shape.CALLBACK)
def no_prompts(expected: Expected) -> None:
    expected.rewrite(LOGS, lambda row: {**row, "messages": {}, "response": {}, "proxy_server_request": {}})


@rule("the callback sends no null among the tags", Shape.CALLBACK)
def no_null_tags(expected: Expected) -> None:
    expected.rewrite(LOGS, lambda row: {**row, "request_tags": [tag for tag in row["request_tags"] if tag is not None]})


# What holds for each record of the callback, whatever the case.
OF_THE_CALLBACK = (real_api_base, no_prompts, no_null_tags)
