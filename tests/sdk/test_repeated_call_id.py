"""An application that gives several calls one litellm_call_id pays for each of them, and pays once for a call that
LiteLLM reports twice."""

from __future__ import annotations

import pytest

from harness.database import Database

from .driving import Sdk, logged

PROVIDER = """
import provider

class Handler(provider.Handler):
    \"\"\"Answers as `provider` does, makes images, and ends streams of responses before they are complete.\"\"\"

    def do_POST(self):
        if self.path.endswith("/responses"):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            event = {"type": "response.created", "sequence_number": 0}
            event["response"] = provider.response({}) | {"status": "in_progress", "usage": None}
            self.wfile.write(f"event: response.created\\ndata: {json.dumps(event)}\\n\\n".encode())
        elif self.path.endswith("/images/generations"):
            self.rfile.read(int(self.headers["Content-Length"]))
            usage = {"input_tokens": 10, "output_tokens": 1000, "total_tokens": 1010}
            self._answer(200, {"created": 1, "data": [{"b64_json": "aGk="}], "usage": usage})
        else:
            super().do_POST()

provider.Handler = Handler
api = {"api_base": provider.start(), "api_key": "sk-none", "litellm_call_id": "job-7"}
litellm.callbacks = [logger := SpendLogger(record_failures=True)]
"""
IMAGES = """
image = {"model": "openai/gpt-image-1", "prompt": "a cat", "user": "user-0", **api}

async def main():
    answers = [await litellm.aimage_generation(**image) for _ in range(2)]
    await asyncio.sleep(1)
    return answers

costs = [answer._hidden_params["response_cost"] for answer in (*asyncio.run(main()), litellm.image_generation(**image))]
say(cost=sum(costs), least=min(costs))
"""
AT_ONCE = """
image = {"model": "openai/gpt-image-1", "prompt": "a cat", "user": "user-0", **api}

async def main():
    answers = await asyncio.gather(*(litellm.aimage_generation(**image) for _ in range(20)))
    await asyncio.sleep(1)
    return answers

say(cost=sum(answer._hidden_params["response_cost"] for answer in asyncio.run(main())))
"""
ROWS = 'SELECT request_id, spend, status FROM "LiteLLM_SpendLogs" ORDER BY "startTime"'


def test_three_images_under_one_call_id_are_charged_each(database: Database, litellm: Sdk) -> None:
    sdk = litellm.run_code(PROVIDER + IMAGES, url=database.url).sdk
    assert sdk["least"] > 0.04
    totals = logged(database)
    assert (totals.requests, totals.spend) == (3, pytest.approx(sdk["cost"], rel=1e-9))
    starts = '(extract(epoch FROM "startTime") * 1000)::bigint'
    ids = f"""SELECT request_id, 'job-7#' || {starts} FROM "LiteLLM_SpendLogs" ORDER BY "startTime" """
    first, *others = database.query(ids)
    assert first[0] == "job-7"
    assert [id_ for id_, _ in others] == [expected for _, expected in others]
    assert database.status()["duplicates"] == 0


def test_images_that_are_made_at_once_under_one_call_id_are_charged_each(database: Database, litellm: Sdk) -> None:
    sdk = litellm.run_code(PROVIDER + AT_ONCE, url=database.url).sdk
    totals = logged(database)
    assert (totals.requests, totals.spend) == (20, pytest.approx(sdk["cost"], rel=1e-9))


CUT_AT_ONCE = """
litellm.callbacks = [SpendLogger(), witness := Witness()]

async def ask():
    messages = provider.ask(answers=["cut"])
    try:
        async for _ in await litellm.acompletion("openai/gpt-4o", messages, stream=True, user="user-0", **api):
            pass
    except Exception:
        pass

async def main():
    await asyncio.gather(*(ask() for _ in range(20)))
    await asyncio.to_thread(wait_until, lambda: len(costs) == 20, "each failure is told")

asyncio.run(main())
say(cost=sum(costs), least=min(costs))
"""
COST_WITNESS = """
class Witness(litellm.integrations.custom_logger.CustomLogger):
    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        costs.append(kwargs["standard_logging_object"]["response_cost"])

costs = []
"""


def test_streams_that_are_cut_at_once_under_one_call_id_are_charged_each(database: Database, litellm: Sdk) -> None:
    if litellm.is_1_79:
        pytest.skip("LiteLLM 1.79 gives no failure a cost")
    sdk = litellm.run_code(PROVIDER + COST_WITNESS + CUT_AT_ONCE, url=database.url).sdk
    assert sdk["least"] > 0
    database.wait_folded()
    rows = [spend for _, spend, status in database.query(ROWS) if status == "failure"]
    assert (len(rows), sum(rows)) == (20, pytest.approx(sdk["cost"], rel=1e-9))


# The provider has no speech: `speech` fails within `aspeech`, which reports the failure again.
SPEECH = """
speech = {"model": "replicate/tts", "input": "a", "voice": "alloy", "user": "user-0"}

async def main():
    for _ in range(2):
        try:
            await litellm.aspeech(**speech, litellm_call_id="job-7")
        except Exception:
            pass
        else:
            raise AssertionError("a call that was to fail did not")
        await asyncio.sleep(0.5)

asyncio.run(main())
"""
WITNESS = """
class Witness(litellm.integrations.custom_logger.CustomLogger):
    def log_failure_event(self, kwargs, response_obj, start_time, end_time):
        reports.append(kwargs["standard_logging_object"]["startTime"])

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        reports.append(kwargs["standard_logging_object"]["startTime"])

reports = []
litellm.callbacks.append(Witness())
"""
TELL = "say(reports=len(reports), starts=len(set(reports)))"


def test_a_failure_that_is_reported_with_two_starts_counts_once(database: Database, litellm: Sdk) -> None:
    sdk = litellm.run_code(PROVIDER + WITNESS + SPEECH + TELL, url=database.url).sdk
    assert sdk == {"reports": 4, "starts": 4}, "LiteLLM reports each failure twice, with two starts"
    database.wait_folded()
    first, second = database.query(ROWS)
    assert (first[0], first[2], second[2]) == ("job-7", "failure", "failure")
    assert second[0].startswith("job-7#")
    assert database.value('SELECT sum(failed_requests)::int FROM "LiteLLM_DailyUserSpend"') == 2


# LiteLLM's proxy does this where a guardrail refuses a request before any provider was asked
# (`_handle_logging_proxy_only_error` of its utils.py).
REFUSAL = """
from datetime import datetime

async def refuse():
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}], "litellm_call_id": "job-7"}
    rules = litellm.utils.Rules()
    call, _ = litellm.utils.function_setup("acompletion", rules_obj=rules, start_time=datetime.now(), **request)
    call.update_environment_variables(model="gpt-4o", user="user-0", optional_params={}, litellm_params={})
    call.pre_call(input=request["messages"], api_key="")
    error = ValueError("refused")
    await call.async_failure_handler(error, "")
    late = threading.Thread(target=call.failure_handler, args=(error, ""))
    late.start()
    late.join()

asyncio.run(refuse())
"""


def test_a_refusal_that_the_proxy_reports_on_two_threads_counts_once(database: Database, litellm: Sdk) -> None:
    sdk = litellm.run_code(PROVIDER + WITNESS + REFUSAL + TELL, url=database.url).sdk
    assert sdk["reports"] == 2
    database.wait_folded()
    assert [(id_, status) for id_, _, status in database.query(ROWS)] == [("job-7", "failure")]
    assert database.status()["duplicates"] == 0, "the callback sent one record"
    assert database.value('SELECT sum(failed_requests)::int FROM "LiteLLM_DailyUserSpend"') == 1


STREAM = """
try:
    for _ in litellm.responses(model="openai/gpt-4o", input="a long story", stream=True, user="user-0", **api):
        pass
except Exception:
    pass
time.sleep(1)
"""


def test_a_streams_failure_that_is_reported_twice_counts_once(database: Database, litellm: Sdk) -> None:
    sdk = litellm.run_code(PROVIDER + WITNESS + STREAM + TELL, url=database.url).sdk
    # LiteLLM 1.79 takes a stream that ends too soon as one that the caller left, and reports nothing.
    expected = 0 if litellm.is_1_79 else 1
    assert sdk["reports"] == 2 * expected
    database.wait_folded()
    assert database.value("""SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE status = 'failure'""") == expected
    assert database.status()["duplicates"] == 0, "the callback sent one record"


POLLS = """
async def main():
    for _ in range(5):
        await litellm.aget_responses("background_1", custom_llm_provider="openai", **api)
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


def test_a_background_response_that_is_polled_five_times_under_one_call_id_is_charged_once(
    database: Database, litellm: Sdk
) -> None:
    litellm.run_code(PROVIDER + POLLS, url=database.url)
    cost = pytest.approx(2000 * 2.5e-6 + 10 * 1e-5, rel=1e-9)
    assert logged(database).spend == cost
    charged = 'SELECT request_id, spend FROM "LiteLLM_SpendLogs" WHERE spend > 0'
    (request_id, spend) = database.query(charged)[0]
    assert request_id.endswith("_background_cost")
    assert spend == cost
    assert database.status()["duplicates"] == 3
