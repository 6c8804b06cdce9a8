"""What the command line knows without a server: versions of LiteLLM, periods, amounts and names."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from litellm_spend._cli import text
from litellm_spend._cli.database import Problem, Url
from litellm_spend._cli.doctor.packages import TESTED_LITELLM, WITHDRAWN_LITELLM, judge_litellm
from litellm_spend._cli.main import COMMANDS, main
from litellm_spend._cli.report.period import Period

TODAY = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("version", "state", "words"),
    [
        *((version, "ok", "a tested version") for version in TESTED_LITELLM),
        *((version, "problem", "compromised release") for version in WITHDRAWN_LITELLM),
        ("1.82.6", "ok", "between the tested versions"),
        ("1.9.9", "problem", "too old"),
        ("1.78.10", "problem", "too old"),
        ("2.0.0rc1", "unknown", "newer than the newest tested version"),
    ],
)
def test_a_version_of_litellm_is_judged(version: str, state: str, words: str) -> None:
    finding = judge_litellm(version)
    assert finding.state == state and words in finding.sentence and version in finding.sentence


@pytest.mark.parametrize(
    ("since", "first"),
    [("1d", date(2026, 3, 1)), ("7d", date(2026, 2, 23)), ("4w", date(2026, 2, 2)), ("2026-03-01", TODAY)],
)
def test_a_period_ends_today(since: str, first: date) -> None:
    period = Period.since(since, TODAY)
    assert (period.first, period.last) == (first, TODAY)
    assert period.days()[0] == str(first) and period.days()[-1] == str(TODAY)


@pytest.mark.parametrize(
    "since", ["", "7", "d", "-1d", "0w", "99999w", "1999-01-01", "2026-03-02", "2026-13-01", "20260301"]
)
def test_another_text_is_no_period(since: str) -> None:
    with pytest.raises(Problem, match="say 7d, 4w, or a day"):
        Period.since(since, TODAY)


@pytest.mark.parametrize(
    ("total", "amount", "shown"),
    [
        ("12345.678", "12345.678", "$12,345.68"),
        ("12345.678", "0.004", "<$0.01"),
        ("12345.678", "-3.5", "-$3.50"),
        ("5.12", "0", "$0.0000"),
        ("5.12", "0.1261", "$0.1261"),
        ("0.002", "0.00001", "$0.000010"),
        ("NaN", "NaN", "NaN"),
    ],
)
def test_an_amount_has_the_digits_of_its_total(total: str, amount: str, shown: str) -> None:
    assert text.dollars(Decimal(amount), text.digits_for(Decimal(total))) == shown


def test_a_share_of_nothing_is_not_shown() -> None:
    assert text.share(Decimal(1), Decimal(3)) == "33.3%"
    assert text.share(Decimal(1), Decimal(0)) == text.share(Decimal("NaN"), Decimal(1)) == ""


def test_a_name_controls_nothing() -> None:
    assert text.printable("a\x1b[2J\r\n\u202eb é 名") == "a\ufffd[2J\ufffd\ufffd\ufffdb é 名"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: litellm-spend {name}" in capsys.readouterr().out


def test_the_option_comes_before_the_variables_and_no_repr_shows_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST_URL", " ")
    monkeypatch.setenv("SECOND_URL", "postgresql://app:needle@db/x")
    found = Url.find(None, ("FIRST_URL", "SECOND_URL"))
    assert found.source == "SECOND_URL" and "needle" not in repr(found)
    assert Url.find("postgresql://other", ("SECOND_URL",)).source == "--database-url"
