"""before_send changes and drops records before Postgres gets them, and no record counts twice because of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sdk.driving import Sdk

from harness.database import Database

CHANGES = """
import random

def before_send(record):
    if record.get("user") == "dropped":
        return None
    if record.get("user") == "raises":
        raise KeyError("needle")
    record["metadata"]["team_id"] = "changed"
    record["request_tags"] = ["changed"]
    record["response_cost"] = 2 * record["response_cost"]
    record["id"] = str(random.random())
    return record
"""
CALLS = """
for user in ("kept", "dropped", "raises"):
    response = call(user=user)
logger = litellm_spend._registered_logger()
say(flushed=logger.flush(), filtered=logger.stats().filtered, sent=logger.stats().sent, id=response.id)
"""


@pytest.mark.parametrize("by", ["argument", "variable"])
def test_records_are_changed_and_dropped_and_keep_their_identity(
    database: Database, litellm: Sdk, by: str, tmp_path: Path
) -> None:
    variables = {}
    if by == "argument":
        code = CHANGES + "litellm.callbacks = [SpendLogger(before_send=before_send)]" + CALLS
    else:
        (tmp_path / "hooks_of_an_application.py").write_text(CHANGES)
        code = f"sys.path.insert(0, {str(tmp_path)!r})\nlitellm.callbacks = ['litellm_spend']" + CALLS
        variables = {"LITELLM_SPEND_BEFORE_SEND": "hooks_of_an_application:before_send"}
    code += """
from litellm import completion_cost
say(cost=completion_cost(response))
"""
    ran = litellm.run_code(code, url=database.url, **variables)
    said = {**ran.sdk, **ran.reported[1]}
    assert (said["flushed"], said["filtered"], said["sent"]) == (True, 2, 1)
    database.wait_folded()
    [(user, team, tags, spend, request_id)] = database.query(
        'SELECT "user", team_id, request_tags, spend, request_id FROM "LiteLLM_SpendLogs"'
    )
    assert (user, team, tags) == ("kept", "changed", ["changed"])
    assert spend == pytest.approx(2 * said["cost"])
    assert request_id.startswith("chatcmpl-"), "the id that LiteLLM gave it"
    dropped, changed = sorted(ran.log_lines())
    assert (
        dropped.startswith("litellm_spend: ERROR a spend record is dropped because before_send") and "KeyErr" in dropped
    )
    assert changed.startswith("litellm_spend: WARNING before_send changed id")
    assert "needle" not in ran.log


def test_records_wait_while_the_function_of_the_variable_cannot_be_loaded(database: Database, newest: Sdk) -> None:
    code = """
litellm.callbacks = [logger := SpendLogger(exit_timeout=0)]
call()
wait_until(lambda: logger.stats().retries, "an attempt to send failed")
say(queued=logger.stats().queued, problem=logger.health_check().problem)
"""
    ran = newest.run_code(code, url=database.url, LITELLM_SPEND_BEFORE_SEND="no_such_module:function")
    assert ran.sdk["queued"] == 1 and "LITELLM_SPEND_BEFORE_SEND" in ran.sdk["problem"]
    assert "LITELLM_SPEND_BEFORE_SEND" in ran.log_lines()[0]


def test_a_forked_child_calls_it_too(database: Database, newest: Sdk) -> None:
    code = (
        CHANGES
        + """
litellm.callbacks = [logger := SpendLogger(before_send=before_send)]
call(user="parent")
logger.flush()
if os.fork() == 0:
    call(user="child")
    call(user="dropped")
    say(flushed=logger.flush(), filtered=logger.stats().filtered)
    os._exit(0)
os.wait()
"""
    )
    ran = newest.run_code(code, url=database.url)
    assert ran.sdk == {"flushed": True, "filtered": 1}
    database.wait_folded()
    assert database.query('SELECT "user", team_id FROM "LiteLLM_SpendLogs" ORDER BY 1') == [
        ("child", "changed"),
        ("parent", "changed"),
    ]
