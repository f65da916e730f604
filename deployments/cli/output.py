"""The output of the commands: a console for people, JSON for programs."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from rich.console import Console

from everfit.tasks.core.outside_text import terminal_text
from everfit.tasks.steps.still_running import QUIET, note_line, on_terminal, reporting

console = Console(width=None if sys.stdout.isatty() else 120)
"""The console of standard output. A pipe has no width, so it gets 120 columns."""


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(content, default=str, allow_nan=False))


def print_lines(*lines: str) -> None:
    """Print lines as they are: without colours, markup or wrapping, and without a terminal's control characters."""
    for line in lines:
        console.print(terminal_text(line), highlight=False, markup=False, soft_wrap=True)


def reporting_wait(doing: str, quiet: float = QUIET) -> AbstractContextManager[None]:
    """Report on standard error now and then what a command does while it is silent.

    Args:
        doing: The work that takes long, such as "reading the data".
        quiet: Seconds of silence before the first line.
    """
    return reporting(lambda text: print(f"everfit: {doing}: {text}", file=sys.stderr, flush=True), quiet, doing=doing)


_waits = threading.Event()


@contextmanager
def reporting_command() -> Iterator[None]:
    """Report on standard error that the command still runs, while it is silent, such as during long imports.

    A terminal shows it as one line that is brought up to date; elsewhere it is a line now and then.
    """
    _waits.clear()
    terminal, shown = sys.stderr, sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def write(text: str) -> None:
        if not _waits.is_set():
            terminal.write(text)
            terminal.flush()

    def say(text: str) -> None:
        if not _waits.is_set():
            print(f"everfit: {text}", file=sys.stderr, flush=True)

    with on_terminal(write) if shown else nullcontext(), reporting(say, outermost=True):
        yield


def wait_for_others() -> None:
    """Report no silence of the command any more: it waits for a person's answer, or for requests."""
    note_line()
    _waits.set()


@contextmanager
def telling(doing: str) -> Iterator[None]:
    """Say on standard error what a command begins to do, and that it still does if it takes long.

    Args:
        doing: The work, such as "starting MLflow".
    """
    print(f"everfit: {doing}", file=sys.stderr, flush=True)
    with reporting_wait(doing):
        yield
