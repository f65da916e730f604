"""A silent step says now and then that it still runs; one that speaks, or is quick, says nothing more."""

import itertools
import statistics
import threading
import time

import pytest

from everfit.deployments.cli.output import reporting_wait, telling
from everfit.tasks.steps import still_running


def test_a_silent_step_says_how_long_it_has_run_and_a_quick_one_nothing() -> None:
    said: list[str] = []
    spoken = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            spoken.set()

    with still_running.reporting(say, quiet=0.02):
        assert spoken.wait(10)
    assert said[0] == "still running, 0 s so far"

    said.clear()
    with still_running.reporting(say, quiet=60):
        pass
    assert said == []


def test_a_line_comes_at_an_even_pace_for_a_minute_of_the_usual_silence_and_then_rarely() -> None:
    said: list[float] = []
    spoken = threading.Event()

    def say(_: str) -> None:
        said.append(time.monotonic())
        if len(said) == 16:
            spoken.set()

    with still_running.reporting(say, quiet=0.05):
        assert spoken.wait(30)

    pauses = [later - earlier for earlier, later in itertools.pairwise(said)]
    assert statistics.median(pauses[:12]) < 0.1
    assert pauses[14] > 0.35


def test_a_step_that_speaks_itself_is_left_alone() -> None:
    said: list[str] = []
    over = threading.Event()

    with still_running.reporting(said.append, quiet=0.2):
        for _ in range(20):
            still_running.note_line()
            over.wait(0.05)

    assert said == []


def test_no_silence_is_longer_than_the_pause_whenever_the_last_line_came() -> None:
    said: list[float] = []
    over = threading.Event()

    with still_running.reporting(lambda _: said.append(time.monotonic()), quiet=2):
        over.wait(1.2)
        still_running.note_line()
        spoke = time.monotonic()
        for _ in range(100):
            over.wait(0.05)
            if said:
                break

    assert 1.95 < said[0] - spoke < 2.7  # a pause later, and not at the end of the next pause, which is 2.8 s later


def test_a_whole_command_leaves_the_word_to_the_step_that_runs() -> None:
    outer: list[str] = []
    inner: list[str] = []
    over = threading.Event()

    with still_running.reporting(outer.append, quiet=0.5, outermost=True):
        with still_running.reporting(inner.append, quiet=1):
            for _ in range(100):
                over.wait(0.05)
                if inner:
                    break
            assert (bool(inner), outer) == (True, [])  # though the command would have spoken first
        for _ in range(100):
            over.wait(0.05)
            if outer:
                break

    assert outer


def test_a_terminal_shows_one_line_that_is_brought_up_to_date_and_taken_away_when_something_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(still_running, "_UPDATED", 0.05)
    lines: list[str] = []
    written: list[str] = []
    updated = threading.Event()

    def write(text: str) -> None:
        written.append(text)
        if len(written) == 2:
            updated.set()

    with still_running.on_terminal(write):
        with still_running.reporting(lines.append, quiet=0.05, doing="fit"):
            assert updated.wait(10)
            still_running.note_line()
            assert written[-1] == "\r\x1b[K"
        shown = len(written)
        still_running.note_line()
        assert len(written) == shown  # nothing is shown, so nothing is taken away

    assert written[:2] == ["\r\x1b[Keverfit: fit: still running, 0 s so far\r"] * 2
    assert lines == []


def test_a_terminal_is_left_without_the_line_when_the_command_ends() -> None:
    written: list[str] = []
    shown = threading.Event()

    def write(text: str) -> None:
        written.append(text)
        shown.set()

    with still_running.on_terminal(write), still_running.reporting(lambda _: None, quiet=0.05):
        assert shown.wait(10)

    assert written[-1] == "\r\x1b[K"


def test_a_command_that_waits_says_so_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    said, over = "", threading.Event()

    with reporting_wait("starting Prefect", quiet=0.02):
        for _ in range(200):
            over.wait(0.05)
            if said := capsys.readouterr().err:
                break

    assert said.startswith("everfit: starting Prefect: still running, 0 s so far\n")


def test_a_command_of_several_parts_says_what_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    with telling("starting MLflow"):
        assert capsys.readouterr().err == "everfit: starting MLflow\n"
