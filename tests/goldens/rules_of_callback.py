"""How a record of the callback of python/ differs from LiteLLM's own StandardLoggingPayload, in every case."""

from __future__ import annotations

from harness.litellm_tables import DAILY, LOGS

from .expected import Expected, add_daily_row, rule
from .shapes import Shape
from .state import State


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


@rule(
    "what was made outside a proxy is marked: its model is its group, and it counts in the gateway's tables",
    Shape.CALLBACK,
)
def made_outside_proxy(expected: Expected) -> None:
    if any(request.kwargs["litellm_params"].get("proxy_server_request") for request in expected.case.requests):
        return
    for table in (*DAILY, LOGS):
        expected.rewrite(table, lambda row: {**row, "model_group": row["model_group"] or row["model"]})
    expected.rewrite(LOGS, lambda row: {**row, "metadata": {**row["metadata"], "made_outside_proxy": True}})
    requests, before = _requests(expected.state), _requests(expected.before)
    for date, counts in requests.items():
        successful, failed = (now - then for now, then in zip(counts, before.get(date, (0, 0)), strict=True))
        row = {"date": date, **_OUTSIDE}
        if successful or failed:
            counted = {"successful_requests": successful, "failed_requests": failed}
            expected.put("LiteLLM_DailyGatewayRequests", {**row, **counted})
    for error in expected.state["LiteLLM_DailyRequestErrors"].values():
        row = {name: error[name] for name in ("date", "status_code", "failed_requests")}
        expected.put("LiteLLM_DailyGatewayFailedRequests", {**row, **_OUTSIDE})


_OUTSIDE = {"category": "llm", "route": "sdk"}


def _requests(state: State) -> dict[str, tuple[int, int]]:
    """Successful and failed requests of each day."""
    sums: dict[str, tuple[int, int]] = {}
    for row in state["LiteLLM_DailyUserSpend"].values():
        successful, failed = sums.get(row["date"], (0, 0))
        sums[row["date"]] = (successful + row["successful_requests"], failed + row["failed_requests"])
    return sums


def _is_number(tag: object) -> bool:
    return isinstance(tag, (int, float)) and not isinstance(tag, bool)


# The rules for each record of the callback, in every case.
OF_THE_CALLBACK = (real_api_base, no_prompts, tags_are_text, made_outside_proxy)
