"""Runs of the training flow that die by SIGKILL at a chosen point."""

import importlib
import os
import signal
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from support.processes import forked, settle_in


def train_in_a_process(model: str, until: datetime, environment: Mapping[str, str], folder: str, die_after: str) -> int:
    """Run a turn in a process of its own.

    Args:
        model: The spec file.
        until: Of the turn.
        environment: Added to the process's own.
        folder: The working folder.
        die_after: `module:function` after whose first return the process is killed; empty to let it live.

    Returns:
        The process's exit code; -9 when it was killed.
    """
    process = forked.Process(target=_train, args=(model, until, dict(environment), folder, die_after))
    process.start()
    process.join(timeout=120)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"the turn that was to die after {die_after!r} hangs")
    return process.exitcode


def _train(model: str, until: datetime, environment: dict[str, str], folder: str, die_after: str) -> None:
    settle_in(environment, folder)
    if die_after:
        _kill_after(die_after)
    from everfit.flows.training_flow import training

    training(model, until)


def _kill_after(point: str) -> None:
    module_name, _, path = point.partition(":")
    owner: Any = importlib.import_module(module_name)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    setattr(owner, name, _deadly(getattr(owner, name)))


def _deadly(function: Callable[..., Any]) -> Callable[..., Any]:
    def dies(*arguments: Any, **named: Any) -> None:
        function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return dies
