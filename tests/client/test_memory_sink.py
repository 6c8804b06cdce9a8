"""An application's own tests see the records of its calls in memory, without a Postgres."""

from __future__ import annotations

import re

from sdk.driving import Sdk

from harness.postgres import PROJECT

README = PROJECT / "python" / "README.md"


def test_a_sink_has_the_records_as_postgres_would_get_them(litellm: Sdk) -> None:
    code = """
sys.modules["psycopg"] = None  # whoever imports it fails
from litellm_spend.testing import MemorySink

def before_send(record):
    return None if record.get("user") == "dropped" else record | {"request_tags": record["request_tags"] + ["changed"]}

sink = MemorySink()
litellm.callbacks = [logger := SpendLogger(sink=sink, default_tags=["default"], before_send=before_send)]
async def main():
    await litellm.acompletion(model="gpt-4o-mini", messages=[{"role": "user", "content": "x"}], mock_response="y")
    return await logger.aflush()
for user in ("kept", "dropped"):
    call(user=user)
first = logger.flush(), [(record["user"], record["request_tags"]) for record in sink.records]
sink.clear()
say(
    first=first, cleared=len(sink.records), flushed=asyncio.run(main()), later=len(sink.records),
    healthy=logger.health_check().ok, closed=logger.close(),
)
"""
    ran = litellm.run_code(code, url=None)
    assert ran.sdk == {
        "first": [True, [["kept", ["default", "changed"]]]],
        "cleared": 0,
        "flushed": True,
        "later": 1,
        "healthy": True,
        "closed": True,
    }
    assert ran.log_lines() == []


def test_each_of_several_tests_has_a_sink_of_its_own(litellm: Sdk) -> None:
    code = """
from litellm_spend.testing import MemorySink
for number in range(3):
    sink = MemorySink()
    litellm.callbacks = [logger := SpendLogger(sink=sink)]
    call(user=f"user-{number}")
    say(flushed=logger.flush(), users=[record["user"] for record in sink.records])
"""
    assert litellm.run_code(code, url=None).reported == [
        {"flushed": True, "users": [f"user-{number}"]} for number in range(3)
    ]


def test_the_example_of_a_test_passes_and_fails_for_another_team(litellm: Sdk) -> None:
    chapter = README.read_text().split("## Testing your own code\n", 1)[1].split("\n## ", 1)[0]
    [example] = re.findall(r"^```python\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)
    assert "def test_" in example and "research" in example
    run = """
tests = [function for name, function in list(globals().items()) if name.startswith("test_")]
for test in tests:
    try:
        test()
        say(passed=True)
    except AssertionError:
        say(passed=False)
"""
    assert litellm.run_code(example + run, url=None).reported == [{"passed": True}]
    other = example.replace('"team_id": "research"', '"team_id": "other"', 1)
    assert litellm.run_code(other + run, url=None).reported == [{"passed": False}]
