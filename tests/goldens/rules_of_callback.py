"""How what the callback of python/ sends differs from LiteLLM's own StandardLoggingPayload, whatever the case."""

from __future__ import annotations

from .expected import LOGS, Expected, add_daily_row, rule
from .shapes import Shape


@rule("the callback sends the provider's address, which LiteLLM's payload has elsewhere", Shape.CALLBACK)
def real_api_base(expected: Expected) -> None:
    bases = [request.payload["hidden_params"]["api_base"] for request in expected.case.requests]
    expected.rewrite(LOGS, lambda row: {**row, "api_base": row["api_base"] or bases[0] or ""})


@rule("the callback sends no prompt and no response, even to a server that would store them", Shape.CALLBACK)
def no_prompts(expected: Expected) -> None:
    expected.rewrite(LOGS, lambda row: {**row, "messages": {}, "response": {}, "proxy_server_request": {}})


@rule("the callback sends the text of a number among the tags, and neither null nor a boolean", Shape.CALLBACK)
def tags_are_text(expected: Expected) -> None:
    for request in expected.case.requests:
        for tag in request.payload["request_tags"]:
            if _is_number(tag):
                add_daily_row(expected, "LiteLLM_DailyTagSpend", str(tag), request_id=request.payload["id"])
                expected.charge("LiteLLM_TagTable", str(tag), request.payload["response_cost"])
    expected.rewrite(
        LOGS,
        lambda row: {
            **row,
            "request_tags": [str(tag) for tag in row["request_tags"] if isinstance(tag, str) or _is_number(tag)],
        },
    )


def _is_number(tag: object) -> bool:
    return isinstance(tag, (int, float)) and not isinstance(tag, bool)


# What holds for each record of the callback, whatever the case.
OF_THE_CALLBACK = (real_api_base, no_prompts, tags_are_text)
