"""Make Prefect tasks of steps: one rule sets their retries, cache policy and log prefix.

A step that uses the network is retried if a connection fails. A step that computes is not, because the same input fails
in the same way. A step that decides, releases or announces is not either, because a second try would be a second
decision. No step uses Prefect's cache, because a step finds the results of an earlier run in workspace and ledger.

Steps have no tags. For each tag of a task Prefect asks its server for a slot before every run, and a server on SQLite
often answers after two seconds. A flow that needs a concurrency limit adds a tag by `.with_options(tags=...)`.
"""

import logging
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.utilities.annotations import opaque

from everfit.tasks.steps.still_running import QUIET, note_line, reporting

P = ParamSpec("P")
R = TypeVar("R")

Kind = Literal["network", "compute", "decision"]

RETRY_DELAYS = [1.0, 5.0]
"""Seconds before each retry of a step that uses the network."""

_TRANSIENT_NAMES = frozenset(
    {
        "httpx.TransportError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "urllib3.exceptions.HTTPError",
        "botocore.exceptions.HTTPClientError",
        "sqlalchemy.exc.OperationalError",
        "aiohttp.client_exceptions.ClientConnectionError",
    }
)
"""Connection errors of libraries, by name, so that none of these libraries has to be imported."""

_prefix: ContextVar[str] = ContextVar("everfit_step", default="")


class StepLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that begins each line with the name of the running step, in a column of ten characters."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Put the step's name before the message."""
        note_line()
        prefix = _prefix.get()
        return (f"{prefix:<10}{msg}" if prefix else msg), kwargs


def step_logger(name: str) -> StepLogger:
    """Return the logger of a module of steps.

    Args:
        name: Name of the logger, such as `everfit.training`.
    """
    return StepLogger(logging.getLogger(name))


def step(
    kind: Kind, *, log: str = "", run_name: str | None = None, quiet: float = QUIET
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a Prefect task of a function.

    Args:
        kind: `network` if it reads or writes elsewhere and may be retried, `compute` if it computes, and `decision` if
            it decides, or changes or announces a decision.
        log: The first word of its log lines; by default the function's name.
        run_name: Template of the task run's name, as Prefect's `task_run_name`.
        quiet: Seconds of silence after which a line says that it still runs.
    """
    network = kind == "network"

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        prefix = log or function.__name__

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            return _run(function, prefix, quiet, args, kwargs)

        return _Step(
            fn=run,
            cache_policy=NO_CACHE,
            retries=len(RETRY_DELAYS) if network else 0,
            retry_delay_seconds=RETRY_DELAYS if network else None,
            retry_condition_fn=_may_retry if network else None,
            task_run_name=run_name,
        )

    return decorate


class _Step(Task[P, R]):
    """A task whose arguments Prefect does not search for futures inside everfit's own records and plain values.

    Prefect walks through every field of every argument before a run. A record of everfit holds no future, and one that
    holds a model's history has so many fields that the walk takes longer than the step. Arguments of `submit` are
    searched, because a task runner such as Dask's does not carry Prefect's mark to its workers.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*map(_closed, args), **{name: _closed(value) for name, value in kwargs.items()})


def _closed(value: Any) -> Any:
    """Return an argument so that Prefect takes it as a whole if no part of it can be a future."""
    return value if isinstance(value, _PLAIN) or not _has_no_future(value) else opaque(value)


_PLAIN = (str, bytes, int, float, datetime, timedelta, type(None))


def _has_no_future(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_has_no_future, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_has_no_future, value))
    return isinstance(value, _PLAIN) or type(value).__module__.startswith("everfit.")


def is_transient(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, is a lost connection, which may work again in a moment.

    Args:
        error: The error.
    """
    seen: BaseException | None = error
    while seen is not None:
        names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(seen).__mro__}
        if isinstance(seen, ConnectionError | TimeoutError) or names & _TRANSIENT_NAMES:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _may_retry(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.data, BaseException) and is_transient(state.data)


@contextmanager
def logging_as(prefix: str) -> Iterator[None]:
    """Begin each log line of the body with a word.

    Args:
        prefix: The word.
    """
    token = _prefix.set(prefix)
    try:
        yield
    finally:
        _prefix.reset(token)


def _run(function: Callable[..., R], prefix: str, quiet: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
    for value in (*args[:1], *kwargs.values()):
        if callable(check := getattr(value, "check_open", None)):
            check()
    with logging_as(prefix), reporting(_progress.info, quiet, doing=prefix):
        return function(*args, **kwargs)


_progress = step_logger("everfit.progress")
