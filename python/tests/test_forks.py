"""A fork leaves the child nothing that a thread of the parent holds: no import, no lock, no C library."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from litellm_spend._delivery import libpq
from litellm_spend._delivery.fork_lock import ForkLock
from litellm_spend._delivery.spool import Spool
from litellm_spend._delivery.spool_directory import SpoolDirectory
from litellm_spend._process import imports, lifecycle

# Much longer than anything here takes.
HANG_SECONDS = 60.0


class Held:
    """A thread that has begun `work` and goes on until `end` is called."""

    def __init__(self, work: Callable[[threading.Event, threading.Event], None]) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=work, args=(self.begun, self.ended))
        self._thread.start()
        assert self.begun.wait(HANG_SECONDS)

    def end(self) -> None:
        self.ended.set()
        self._thread.join(HANG_SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Makes a module of this code, with a name of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(imports, "_endless", set())
    made: list[str] = []

    def make(code: str) -> str:
        made.append(name := f"a_module_{tmp_path.name}_{len(made)}")
        (tmp_path / f"{name}.py").write_text(code)
        return name

    yield make
    for name in made:
        sys.modules.pop(name, None)


def ends_well(in_child: Callable[[], Any]) -> bool:
    """Whether a forked child does this and ends. A child that hangs is killed."""
    pid = os.fork()
    if pid == 0:
        try:
            in_child()
        finally:
            os._exit(1 if sys.exc_info()[0] else 0)
    until = time.monotonic() + HANG_SECONDS / 6
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return False


def test_a_child_can_import_what_another_thread_imported(module: Callable[[str], str]) -> None:
    name = module("import sys, time\nsys.begun.set()\ntime.sleep(0.5)\nthere = True")

    def load(begun: threading.Event, _: threading.Event) -> None:
        sys.begun = begun  # type: ignore[attr-defined]
        __import__(name)

    held = Held(load)
    assert ends_well(lambda: __import__(name).there)
    held.end()


def test_a_fork_waits_for_an_endless_import_once(module: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_FORK_SECONDS", 0.1)
    name = module("import sys\nsys.begun.set()\nsys.ended.wait()")

    def load(begun: threading.Event, ended: threading.Event) -> None:
        sys.begun, sys.ended = begun, ended  # type: ignore[attr-defined]
        __import__(name)

    held = Held(load)
    assert ends_well(lambda: (sys.ended.set(), __import__(name)))  # type: ignore[attr-defined]
    assert imports._endless == {name}
    monkeypatch.setattr(lifecycle, "_FORK_SECONDS", HANG_SECONDS)
    began = time.monotonic()
    assert ends_well(lambda: None)
    held.end()
    assert time.monotonic() - began < HANG_SECONDS / 2


def test_a_thread_that_imports_does_not_wait_for_those_who_wait_for_it(module: Callable[[str], str]) -> None:
    first = module("")
    second = module(f"import {first}")
    forks = f"""
import sys, threading, time
from litellm_spend._process import imports, lifecycle
(thread := threading.Thread(target=__import__, args=({second!r},))).start()
while {second!r} not in imports._owners():
    time.sleep(0.001)
imports.wait(time.monotonic() + 0.2)
"""
    (Path(sys.path[0]) / f"{first}.py").write_text(forks)
    __import__(first).thread.join(HANG_SECONDS)
    assert imports._endless == set()


def test_a_fork_waits_until_a_lock_is_free_and_takes_it() -> None:
    lock, order = ForkLock(HANG_SECONDS), []

    def use(begun: threading.Event, forking: threading.Event) -> None:
        with lock:
            begun.set()
            time.sleep(0.2)
            order.append("used")
        assert forking.wait(HANG_SECONDS)
        with lock:
            order.append("used again")

    held = Held(use)
    assert lock.before_fork()
    held.ended.set()
    time.sleep(0.1)
    order.append("forked")
    assert lock.after_fork_in_parent()
    held.end()
    assert order == ["used", "forked", "used again"]


def test_a_fork_does_not_wait_for_ever_and_releases_no_lock_that_it_did_not_take() -> None:
    lock = ForkLock(0.01)

    def use(begun: threading.Event, ended: threading.Event) -> None:
        with lock:
            begun.set()
            ended.wait(HANG_SECONDS)

    held = Held(use)
    assert not lock.before_fork()
    assert not lock.after_fork_in_parent()
    held.end()


def test_two_threads_may_fork_at_the_same_time() -> None:
    lock = ForkLock(0.01)

    def fork(begun: threading.Event, ended: threading.Event) -> None:
        assert lock.before_fork()
        begun.set()
        ended.wait(HANG_SECONDS)
        assert lock.after_fork_in_parent()

    held = Held(fork)
    assert not lock.before_fork()
    assert not lock.after_fork_in_parent()
    held.end()
    assert lock.before_fork() and lock.after_fork_in_parent()


def test_a_spool_that_is_released_during_a_fork_is_released_after_it(tmp_path: Path) -> None:
    spool = Spool(SpoolDirectory(tmp_path / "spool", 1_000_000), lambda: "", has_before_send=False)
    assert spool.put("{}")
    spool.before_fork()

    def release(begun: threading.Event, _: threading.Event) -> None:
        begun.set()
        spool.release()

    held = Held(release)
    time.sleep(0.1)
    spool.after_fork_in_parent()
    held.end()
    assert spool.own() is None


def test_a_connection_keeps_forks_out_while_it_connects_but_not_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, free = ForkLock(0), []

    def is_free() -> bool:
        return lock.before_fork() and lock.after_fork_in_parent()

    def connect(*_: Any, **__: Any) -> Iterator[Any]:
        free.append(is_free())
        assert (yield "wait") == "ready"
        free.append(is_free())
        return "connected"

    monkeypatch.setattr(psycopg.Connection, "_connect_gen", connect)
    steps = libpq.connection_class(lock)._connect_gen("")
    assert next(steps) == "wait" and is_free()
    with pytest.raises(StopIteration, match="connected"):
        steps.send("ready")
    assert free == [False, False] and is_free()
