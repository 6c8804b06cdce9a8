"""flush() and aflush() wait for the calls that ended before, although LiteLLM reports them later."""

from __future__ import annotations

import pytest
from sdk.driving import Sdk

from harness.database import Database

# {calls of one kind: a handler that makes one call and then waits}
HANDLERS = {
    "sync": "def handler(): call(); return logger.flush()",
    "sync stream": "def handler(): [chunk for chunk in call(stream=True)]; return logger.flush()",
    "async": """
async def main():
    await acall(); return await logger.aflush()
def handler(): return asyncio.run(main())
""",
    "async stream": """
async def main():
    async for chunk in await acall(stream=True): pass
    return await logger.aflush()
def handler(): return asyncio.run(main())
""",
    "many at once": """
async def main():
    await asyncio.gather(*(acall() for _ in range(20))); return await logger.aflush()
def handler(): return asyncio.run(main())
""",
    "embedding": """
async def main():
    await litellm.aembedding(model="text-embedding-3-small", input=["x"], mock_response=[0.1])
    return await logger.aflush()
def handler(): return asyncio.run(main())
""",
}
# How many records one handler makes.
RECORDS = {"many at once": 20}
NUMBER = 20
PROGRAM = f"""
litellm.callbacks = [logger := SpendLogger(record_failures=True)]

def acall(**others):
    messages = [{{"role": "user", "content": "what does it cost?"}}]
    return litellm.acompletion(model="gpt-4o-mini", messages=messages, mock_response="not much", **others)

%s
sent = []
for number in range({NUMBER}):
    assert handler() is True, logger.stats()
    sent.append(logger.stats().sent)
say(sent=sent)
"""


@pytest.mark.parametrize("kind", HANDLERS)
def test_a_handler_that_ends_with_a_flush_has_sent_its_calls(
    shared_database: Database, litellm: Sdk, kind: str
) -> None:
    each = RECORDS.get(kind, 1)
    ran = litellm.run_code(PROGRAM % HANDLERS[kind], url=shared_database.url)
    assert ran.sdk["sent"] == [each * (number + 1) for number in range(NUMBER)]


FAILING_STREAM = """
import provider
litellm.callbacks = [logger := SpendLogger(record_failures=True)]
api = {"api_base": provider.start(), "api_key": "sk-none"}
sent = []
for number in range(5):
    try:
        asked = provider.ask(answers=["cut"])
        for chunk in litellm.completion(model="openai/gpt-4o", stream=True, messages=asked, **api): pass
    except Exception: pass
    else: raise AssertionError("the stream was not cut")
    assert logger.flush()
    sent.append(logger.stats().sent)
say(sent=sent)
"""


def test_a_flush_waits_for_the_thread_that_reports_a_cut_stream(shared_database: Database, newest: Sdk) -> None:
    assert newest.run_code(FAILING_STREAM, url=shared_database.url).sdk["sent"] == [1, 2, 3, 4, 5]


ON_A_LOOP = """
litellm.callbacks = [logger := SpendLogger()]
async def main():
    await litellm.acompletion(model="gpt-4o-mini", messages=[{"role": "user", "content": "?"}], mock_response="!")
    began = time.monotonic()
    flushed = [logger.flush(), logger.flush(600)]
    say(flushed=flushed, waited=time.monotonic() - began > 60)
    assert await logger.aflush()
    say(sent=logger.stats().sent)
asyncio.run(main())
"""


def test_flush_on_the_thread_of_an_event_loop_waits_for_nothing_and_says_so_once(
    shared_database: Database, litellm: Sdk
) -> None:
    ran = litellm.run_code(ON_A_LOOP, url=shared_database.url)
    assert ran.reported == [{"flushed": [False, False], "waited": False}, {"sent": 1}]
    assert ran.log_lines() == [
        "litellm_spend: WARNING flush() waits for nothing on the thread of a running event loop and in a callback: "
        "write `await logger.aflush()` in the application's own code"
    ]


IN_A_CALLBACK = """
from litellm.integrations.custom_logger import CustomLogger
flushed = []
class Own(CustomLogger):
    def log_success_event(self, *_, **__): flushed.append(logger.flush(600))
    async def async_log_success_event(self, *_, **__): flushed.append(await logger.aflush(600))
litellm.callbacks = [logger := SpendLogger(), Own()]
call()
assert logger.flush()
async def main():
    await litellm.acompletion(model="gpt-4o-mini", messages=[{"role": "user", "content": "?"}], mock_response="!")
    assert await logger.aflush()
asyncio.run(main())
wait_until(lambda: len(flushed) >= 2, "both callbacks ran")
say(flushed=sorted(set(flushed)), sent=logger.stats().sent)
"""


def test_a_flush_in_a_callback_does_not_wait_for_itself(shared_database: Database, litellm: Sdk) -> None:
    ran = litellm.run_code(IN_A_CALLBACK, url=shared_database.url)
    assert ran.sdk == {"flushed": [False], "sent": 2}
    assert len(ran.log_lines()) == 1


WHILE_OTHERS_CALL = """
litellm.callbacks = [logger := SpendLogger()]
stopping = threading.Event()
def others():
    while not stopping.is_set(): call("others")
threads = [threading.Thread(target=others, daemon=True) for _ in range(2)]
for thread in threads: thread.start()
flushed = []
for _ in range(5):
    call("own")
    flushed.append(logger.flush(60))
stopping.set()
say(flushed=flushed)
"""


def test_a_flush_ends_although_other_threads_go_on(shared_database: Database, newest: Sdk) -> None:
    ran = newest.run_code(WHILE_OTHERS_CALL, url=shared_database.url)
    assert ran.sdk == {"flushed": [True] * 5}


def test_a_flush_of_a_call_whose_callback_hangs_ends_at_its_timeout(shared_database: Database, newest: Sdk) -> None:
    code = """
from litellm.integrations.custom_logger import CustomLogger
class Slow(CustomLogger):
    def log_success_event(self, *_, **__): may_end.wait(60)
may_end = threading.Event()
litellm.callbacks = [Slow(), logger := SpendLogger()]
call()
say(flushed=logger.flush(0.5))
may_end.set()
say(flushed=logger.flush(), sent=logger.stats().sent)
"""
    ran = newest.run_code(code, url=shared_database.url)
    assert ran.reported == [{"flushed": False}, {"flushed": True, "sent": 1}]
