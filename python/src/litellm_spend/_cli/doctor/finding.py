"""What a check found: one line of the doctor."""

from __future__ import annotations

from dataclasses import dataclass

from ..text import printable


@dataclass(frozen=True)
class Finding:
    """The state is `ok`, `problem` (the sentence says what to do) or `unknown` (it says what was not seen, and why)."""

    state: str
    subject: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.state:<9}{self.subject:<15}{printable(self.sentence)}"


def ok(subject: str, sentence: str) -> Finding:
    return Finding("ok", subject, sentence)


def problem(subject: str, sentence: str) -> Finding:
    return Finding("problem", subject, sentence)


def unknown(subject: str, sentence: str) -> Finding:
    return Finding("unknown", subject, sentence)
