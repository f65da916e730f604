"""Runs of the training flow that die by SIGKILL at a chosen point."""

import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

_processes = multiprocessing.get_context("forkserver")
# The processes are forked from one that has imported all that is heavy, and has started nothing.
_processes.set_forkserver_preload(["everfit.flows.training", "mlflow", "sklearn.ensemble", "great_expectations"])


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
    process = _processes.Process(target=_train, args=(model, until, dict(environment), folder, die_after))
    process.start()
    process.join(timeout=120)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"the turn that was to die after {die_after!r} hangs")
    return process.exitcode


def _train(model: str, until: datetime, environment: dict[str, str], folder: str, die_after: str) -> None:
    os.environ.update(environment)
    os.chdir(folder)
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()
    if die_after:
        _kill_after(die_after)
    from everfit.flows.training import training

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
