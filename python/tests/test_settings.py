"""Where the value of an option comes from, and what a wrong value does."""

from __future__ import annotations

import dataclasses
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from litellm_spend import _settings
from litellm_spend._settings import Settings, read, shown, variable


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for option in dataclasses.fields(Settings):
        monkeypatch.delenv(variable(option.name), raising=False)
    monkeypatch.setattr(_settings, "_reported", set())


def test_an_argument_counts_before_a_variable_and_a_variable_before_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert read({}) == Settings()
    monkeypatch.setenv("LITELLM_SPEND_BATCH_SIZE", "7")
    monkeypatch.setenv("LITELLM_SPEND_RECORD_FAILURES", "on")
    assert (read({}).batch_size, read({"batch_size": None}).batch_size) == (7, 7)
    read_with_both = read({"batch_size": 9, "record_failures": False})
    assert (read_with_both.batch_size, read_with_both.record_failures) == (9, False)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_queue", " 12 ", 12),
        ("flush_interval", "0.5", 0.5),
        ("exit_timeout", "30", 30.0),
        ("enabled", "oFF", False),
        ("flush_at_sigterm", "no", False),
        ("flush_at_sigterm", "false", False),
        ("flush_at_sigterm", "0", False),
        ("record_failures", "On", True),
        ("record_failures", "TRUE", True),
        ("record_failures", "yes", True),
        ("otel_metrics", "1", True),
        ("default_team", "research", "research"),
        ("default_tags", "a, b,,a", ("a", "b")),
        ("default_metadata", '{"stage": {"name": "test"}}', {"stage": {"name": "test"}}),
        ("before_send", "package.module:function", "package.module:function"),
        ("spool_dir", "/var/spool", "/var/spool"),
        ("max_queue", "", 50_000),
    ],
)
def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any) -> None:
    monkeypatch.setenv(variable(name), text)
    read_value = getattr(read({}), name)
    assert (read_value, type(read_value)) == (value, type(value))


WRONG_TEXTS = [
    ("batch_size", "many", "a whole number from 1 to 1000000", "500"),
    ("batch_size", "0", "a whole number from 1 to 1000000", "500"),
    ("batch_size", "1000001", "a whole number from 1 to 1000000", "500"),
    ("max_queue", "-1", "a whole number of at least 1", "50000"),
    ("spool_max_mb", "1.5", "a whole number of at least 1", "1024"),
    ("flush_interval", "nan", "a number of seconds from 0 to 86400", "0.1"),
    ("exit_timeout", "inf", "a number of seconds from 0 to 86400", "5"),
    ("send_timeout", "0", "a number of seconds from 1 to 86400", "30"),
    ("record_failures", "maybe", "on or off", "off"),
    ("enabled", "2", "on or off", "on"),
    ("default_metadata", "[1]", "a JSON object", "none"),
    ("default_metadata", "{", "a JSON object", "none"),
]


@pytest.mark.parametrize(("name", "text", "wanted", "default"), WRONG_TEXTS)
def test_a_wrong_variable_is_told_once_and_the_default_is_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, text: str, wanted: str, default: str
) -> None:
    monkeypatch.setenv(variable(name), text)
    assert read({}) == read({}) == Settings()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            logging.ERROR,
            f"the environment variable {variable(name)} must be {wanted}: correct it. Until then the default is used: "
            f"{default}",
        )
    ]


def test_a_variable_that_an_argument_replaces_is_not_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LITELLM_SPEND_BATCH_SIZE", "many")
    assert read({"batch_size": 3}).batch_size == 3 and not caplog.records


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("database_url", 5, "a string"),
        ("batch_size", 0, "a whole number from 1 to 1000000"),
        ("batch_size", True, "a whole number from 1 to 1000000"),
        ("batch_size", 10.0, "a whole number from 1 to 1000000"),
        ("max_queue", "10", "a whole number of at least 1"),
        ("flush_interval", -1, "a number of seconds from 0 to 86400"),
        ("flush_interval", float("nan"), "a number of seconds from 0 to 86400"),
        ("exit_timeout", False, "a number of seconds from 0 to 86400"),
        ("send_timeout", 0.5, "a number of seconds from 1 to 86400"),
        ("record_failures", "yes", "True or False"),
        ("record_failures", 1, "True or False"),
        ("default_team", 5, "a string"),
        ("default_tags", "a", "a list of strings"),
        ("default_tags", [1], "a list of strings"),
        ("default_metadata", [("a", 1)], "a dict with strings as keys"),
        ("default_metadata", {1: 2}, "a dict with strings as keys"),
        ("before_send", "package.module:function", "a function"),
        ("spool_dir", 5, "the path of a folder"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_sentence(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(ValueError) as refused:
        read({name: value})
    assert str(refused.value) == f"SpendLogger(...): {name} must be {wanted}"
    assert refused.value.__suppress_context__, "the context may show the value"


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("flush_interval", 600, 600.0),
        ("default_tags", ["a", "b", "a"], ("a", "b")),
        ("default_tags", [], ()),
        ("default_team", "", ""),
        ("spool_dir", Path("/var/spool"), "/var/spool"),
        ("default_metadata", {"cost": Decimal("0.1")}, {"cost": Decimal("0.1")}),
        ("before_send", len, len),
    ],
)
def test_a_right_argument_is_kept(name: str, value: Any, kept: Any) -> None:
    assert getattr(read({name: value}), name) == kept


def test_the_database_is_read_at_first_use_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_SPEND_DATABASE_URL", "postgresql://needle")
    assert read({}).database_url is None
    assert "needle" not in repr(read({"database_url": "postgresql://needle"}))


def test_a_default_is_shown_as_a_variable_would_set_it() -> None:
    assert [shown(default) for default in (True, False, 0.1, 5.0, 50_000, None, ())] == [
        "on",
        "off",
        "0.1",
        "5",
        "50000",
        "none",
        "none",
    ]


def test_each_option_is_explained() -> None:
    for option in dataclasses.fields(Settings):
        assert option.metadata["meaning"]
