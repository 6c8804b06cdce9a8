"""Charges the golden cases as LiteLLM's ledger does: LiteLLM's own writer creates the log row and the delivery, and its
own projector applies the delivery.

Runs in the interpreter of a LiteLLM that has the ledger. DATABASE_URL names the database, which holds the state that
the case begins with. Reads a case as a line of JSON, and answers with a line when its requests are charged.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from itertools import count
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import litellm
from litellm.accounting.worker import flush_accounting_deliveries
from litellm.litellm_core_utils.core_helpers import finite_cost
from litellm.proxy.db import db_spend_update_writer
from litellm.proxy.db.db_spend_update_writer import DBSpendUpdateWriter
from litellm.proxy.hooks.proxy_track_cost_callback import _should_track_cost_callback
from litellm.proxy.spend_tracking import spend_tracking_utils
from litellm.proxy.utils import PrismaClient, ProxyUpdateSpend

sys.path.append(str(Path(__file__).parents[1]))
from harness.prisma import Client
from harness.prisma_errors import ErringEngine, install

# The proxy's general_settings.
SETTINGS: dict[str, Any] = {}


class Proxy(Client):
    """What LiteLLM's writer asks of the PrismaClient of a running proxy."""

    engine = ErringEngine

    def __init__(self, db: ErringEngine) -> None:
        super().__init__(db)
        self.spend_log_transactions: list[dict[str, Any]] = []
        self._spend_log_transactions_lock = asyncio.Lock()

    jsonify_object = PrismaClient.jsonify_object
    get_request_status = PrismaClient.get_request_status


class Alerts:
    """Stands in for LiteLLM's ProxyLogging, which reports that a delivery could not be applied."""

    call_details: ClassVar[dict[str, Any]] = {}

    async def alerting_handler(self, message: str, **_: Any) -> None:
        raise AssertionError(message)


async def no_windows(*_: Any) -> tuple[()]:
    return ()


def run_as_proxy(client: Proxy) -> None:
    """Set the state of a proxy's process. LiteLLM keeps it in a module that loads all of the proxy."""
    module = ModuleType("litellm.proxy.proxy_server")
    state = {
        "accounting_window_keys": no_windows,
        "disable_spend_logs": False,
        "general_settings": SETTINGS,
        "general_settings_view": lambda: SETTINGS,
        "litellm_proxy_budget_name": "litellm-proxy-budget",
        "llm_router": None,
        "prisma_client": client,
    }
    vars(module).update(state)
    sys.modules[module.__name__] = module


def number_deliveries() -> None:
    """Number the deliveries: LiteLLM draws their ids at random, and applies those of a transaction in order of ids."""
    numbers = count(1)
    db_spend_update_writer.uuid = SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=f"{next(numbers):032}"))


async def charge(request: dict[str, Any], writer: DBSpendUpdateWriter) -> None:
    """Charge one request as LiteLLM's cost callback does, which charges nothing where it tracks nothing."""
    payload, metadata = request["standard_logging_object"], identified(request)
    kwargs = {**request["kwargs_subset"], "standard_logging_object": payload}
    kwargs["litellm_params"] = {**kwargs["litellm_params"], "metadata": metadata}
    agent = metadata.get("billing_agent_id") or metadata.get("agent_id")
    user, team, end_user = (metadata.get(f"user_api_key_{name}") for name in ("user_id", "team_id", "end_user_id"))
    is_failure = payload["status"] == "failure"
    cost = finite_cost(payload["response_cost"])
    if not is_failure and (
        cost is None
        or not _should_track_cost_callback(
            metadata.get("user_api_key"), user, team, end_user, kwargs["call_type"], agent
        )
    ):
        return
    with logged_as(request) if is_failure else nullcontext():
        await writer.update_database(
            token=metadata.get("user_api_key"),
            user_id=user,
            end_user_id=end_user,
            team_id=team,
            org_id=metadata.get("user_api_key_org_id"),
            project_id=metadata.get("user_api_key_project_id"),
            kwargs=kwargs,
            completion_response=payload.get("response"),
            start_time=datetime.fromisoformat(request["callback_start_time"]),
            end_time=datetime.fromisoformat(request["callback_end_time"]),
            response_cost=cost,
        )


def identified(request: dict[str, Any]) -> dict[str, Any]:
    """The metadata of the call, with what LiteLLM looked up in the key's row according to the case's log row."""
    metadata = dict(request["kwargs_subset"]["litellm_params"].get("metadata") or {})
    for row in request["spend_log_payloads"]:
        known = {
            "user_api_key_user_id": row["user"],
            "user_api_key_team_id": row["team_id"],
            "user_api_key_org_id": row["organization_id"],
            "user_api_key_project_id": row["metadata"].get("user_api_key_project_id"),
            "user_api_key_alias": row["metadata"].get("user_api_key_alias"),
        }
        metadata |= {name: value for name, value in known.items() if value and metadata.get(name) is None}
    return metadata


@contextmanager
def logged_as(request: dict[str, Any]) -> Iterator[None]:
    """Let a failure have the case's log row: LiteLLM estimates its tokens from the prompt, which cases do not hold."""
    [row] = request["spend_log_payloads"]
    known = {"model_map_information": request["standard_logging_object"]["model_map_information"]}
    own = spend_tracking_utils.get_logging_payload
    spend_tracking_utils.get_logging_payload = lambda **_: {**row, "metadata": json.dumps({**row["metadata"], **known})}
    yield
    spend_tracking_utils.get_logging_payload = own


def revive(value: dict[str, Any]) -> Any:
    """Read the goldens' own notation for numbers that JSON lacks."""
    return float(value["$nonfinite"]) if "$nonfinite" in value else value


async def main() -> None:
    # LiteLLM prints to the standard output too.
    answers, sys.stdout = sys.stdout, sys.stderr
    client = await Proxy.connect(os.environ["DATABASE_URL"])
    install()
    run_as_proxy(client)
    number_deliveries()
    writer, alerts = DBSpendUpdateWriter(), Alerts()
    for line in sys.stdin:
        case = json.loads(line, object_hook=revive)
        SETTINGS["store_prompts_in_spend_logs"] = case["stores_prompts"]
        litellm.max_budget = case["max_budget"]
        os.environ["TZ"] = case["time_zone"]
        time.tzset()
        for batch in case["batches"]:
            for request in batch:
                await charge(request, writer)
            await ProxyUpdateSpend.update_spend_logs(0, client, None, alerts)
            await flush_accounting_deliveries(writer, client, alerts)
        print("charged" if await applied_all(client) else "left pending", file=answers, flush=True)


async def applied_all(client: Proxy) -> bool:
    """Whether every delivery is applied. Deletes them, because the next case begins without any."""
    states = await client.db.query_raw('DELETE FROM "LiteLLM_SpendLogDelivery" RETURNING state::text')
    return all(row["state"] == "applied" for row in states)


asyncio.run(main())
