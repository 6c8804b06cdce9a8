"""LiteLLM's own ledger: LiteLLM's code writes log rows with deliveries and charges the tables.

Runs in LiteLLM's interpreter, on the database of DATABASE_URL. Takes orders from `projector.py`, each a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from litellm.accounting.application import apply_deliveries
from litellm.accounting.snapshot import build_accounting_payload
from litellm.proxy.db.db_spend_update_writer import DBSpendUpdateWriter
from litellm.repositories.accounting_delivery_repository import AccountingDeliveryRepository
from litellm.repositories.table_repositories import SpendLogsRepository

sys.path.append(str(Path(__file__).parents[1]))
from harness.prisma import Client

ENTITIES = ("api_key", "user", "team_id", "organization_id", "end_user", "agent_id", "project_id")


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def hear() -> dict[str, Any]:
    return json.loads(sys.stdin.readline() or '{"do": "end"}')


def ledger_row(request: dict[str, Any]) -> dict[str, Any]:
    """A log row with its charge, as `DBSpendUpdateWriter.update_database` hands it to the queue of log rows."""
    fields = {"model_id": "", "metadata": {}, **request}
    delivery_id, windows = fields.pop("delivery_id", None), fields.pop("windows", [])
    row = {
        **fields,
        "metadata": json.dumps(fields["metadata"]),
        "startTime": datetime.fromisoformat(fields["startTime"].replace("Z", "+00:00")),
        "endTime": datetime.fromisoformat(fields["endTime"].replace("Z", "+00:00")),
        "request_tags": json.dumps(fields.get("request_tags", [])),
    }
    charged = {name: fields.get(name) or None for name in ENTITIES}
    payload = build_accounting_payload(
        {"api_key": "", "model_group": "", **row},
        entities=charged,
        model_access_groups=[],
        windows=windows,
        router=lambda: None,
    )
    row.pop("project_id", None)
    # The cost of a batch or video has no delivery id: the request's id identifies its delivery.
    own_id = {} if delivery_id is None else {"accounting_delivery_id": delivery_id}
    return {**row, **own_id, "accounting_payload": payload}


async def project(client: Client, hold: str | None, batch_size: int, retry_only: bool | None) -> None:
    """Run one transaction of the projector. It waits for the next line before or after it charges the tables."""
    writer = DBSpendUpdateWriter()

    async def apply(transaction: Any, deliveries: Any) -> None:
        if hold == "claimed":
            tell(held=len(deliveries))
            hear()
        await apply_deliveries(transaction, deliveries, prisma_client=client, writer=writer, proxy_logging_obj=None)
        if hold == "charged":
            tell(held=len(deliveries))
            hear()

    repository = AccountingDeliveryRepository(client)
    result = await repository.apply_pending(apply, batch_size=batch_size, retry_only=retry_only)
    tell(applied=result.applied, failed=result.failed, parked=list(result.parked), error=result.error)


async def main() -> None:
    client = await Client.connect(os.environ["DATABASE_URL"])
    while (order := hear())["do"] != "end":
        if order["do"] == "log":
            rows = [ledger_row(request) for request in order["requests"]]
            tell(logged=await SpendLogsRepository(client).insert_with_deliveries(rows))
        else:
            await project(client, order["hold"], order["batch_size"], order["retry_only"])


if __name__ == "__main__":
    asyncio.run(main())
