"""How what the callback of python/ sends differs from LiteLLM's own StandardLoggingPayload, whatever the case."""

from __future__ import annotations

from .expected import LOGS, Expected, rule
from .shapes import ROUTER_ATTEMPTS, Shape
from .state import DAILY


@rule("the callback sends the provider's address, which LiteLLM's payload has elsewhere", Shape.CALLBACK)
def real_api_base(expected: Expected) -> None:
    bases = [request.payload["hidden_params"]["api_base"] for request in expected.case.requests]
    expected.rewrite(LOGS, lambda row: {**row, "api_base": row["api_base"] or bases[0] or ""})


@rule("the callback does not send the name of the price map's entry", Shape.CALLBACK)
def no_price_map_name(expected: Expected) -> None:
    expected.rewrite(LOGS, lambda row: {**row, "metadata": {**row["metadata"], "model_map_information": None}})


@rule("the callback does not send what prompt caching saved yet", Shape.CALLBACK)
def no_savings(expected: Expected) -> None:
    for table in DAILY:
        expected.rewrite(table, lambda row: {**row, "prompt_caching_savings_spend": 0.0})


@rule("the callback sends no prompt and no response, even to a server that would store them", Shape.CALLBACK)
def no_prompts(expected: Expected) -> None:
    expected.rewrite(LOGS, lambda row: {**row, "messages": {}, "response": {}, "proxy_server_request": {}})


@rule("the callback sends no null among the tags", Shape.CALLBACK)
def no_null_tags(expected: Expected) -> None:
    expected.rewrite(LOGS, lambda row: {**row, "request_tags": [tag for tag in row["request_tags"] if tag is not None]})


@rule("the callback does not send the router's attempts yet", Shape.CALLBACK)
def no_router_attempts(expected: Expected) -> None:
    unknown = dict.fromkeys(ROUTER_ATTEMPTS)
    expected.rewrite(LOGS, lambda row: {**row, "metadata": {**row["metadata"], **unknown}})


# What holds for each record of the callback, whatever the case.
OF_THE_CALLBACK = (real_api_base, no_price_map_name, no_savings, no_router_attempts, no_prompts, no_null_tags)
