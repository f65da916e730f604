"""Try and fit a user's own candidate in a separate process, because it may raise, crash or take too long."""

import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import TypeAdapter

from everfit.blocks.errors import EverfitError, TrainingError
from everfit.blocks.policy import format_duration
from everfit.tasks.core.records import Window
from everfit.tasks.data.split import Sample, TrainingData, training_data_from_json
from everfit.tasks.training.in_process import fit_in_process, try_in_process
from everfit.tasks.training.results import Fitted
from everfit.tasks.training.search import Setting, TuningRequest, TuningTrial

logger = logging.getLogger("everfit.training")

_STARTING_SECONDS = 120
"""Seconds that Python and the libraries may take to start, in addition to the candidate's own time."""
_IDLE_SECONDS = 60.0
"""Seconds after which an idle process ends by itself."""
_LOOK_SECONDS = 0.5
"""Seconds between two checks whether the process is alive."""
_REQUEST, _RESULT = "request.json", "result.json"
_GRACE = 1.0
"""Extra seconds for a candidate that checks the clock itself between its folds, so that it can report its scores."""


def try_isolated(data: TrainingData, request: TuningRequest, seconds: float) -> TuningTrial:
    """Try a setting as `everfit.tasks.training.train.try_setting` does, in another process.

    Raises:
        TrainingError: If it takes too long, or its process ends without a result.
    """
    content = {"do": "try", "trial": request.model_dump(mode="json"), "seconds": seconds}
    return TuningTrial.model_validate(_run(data, request.candidate, content, seconds))


def fit_isolated(data: TrainingData, candidate: str, window: Window, path: str, setting: Setting) -> Fitted:
    """Fit a candidate as `everfit.tasks.training.train.fit_on` does, in another process.

    Raises:
        TrainingError: If it fails, takes too long, or its process ends without a result.
    """
    seconds = data.spec.training.time_limit.total_seconds()
    request = {
        "do": "fit",
        "candidate": candidate,
        "setting": setting.model_dump(mode="json"),
        "window": window.model_dump(mode="json"),
        "path": path,
        "seconds": seconds,
    }
    try:
        return Fitted.model_validate(_run(data, candidate, request, seconds))
    finally:
        end_processes(candidate)


class _Process:
    """A process that runs the requests of one candidate, one after the other, until it has been idle for too long.

    Starting a process takes seconds, so one is kept for all settings of a search.
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="everfit-candidate-")
        self._errors = Path(self._folder.name, "errors.txt")
        self._results, write_end = os.pipe()
        command = [sys.executable, "-m", "everfit.tasks.training.isolated", self._folder.name, str(write_end)]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, pass_fds=(write_end,)
            )
        os.close(write_end)
        self._last = time.monotonic()

    def run(self, request: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """Send a request and wait for its result.

        Returns:
            The result, or None if the process has ended, or has not finished in time.
        """
        Path(self._folder.name, _REQUEST).write_text(json.dumps(request))
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(BrokenPipeError):  # the process has ended, which the loop below notices
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        give_up = time.monotonic() + seconds
        while not select.select([self._results], [], [], _LOOK_SECONDS)[0]:
            if self._process.poll() is not None or time.monotonic() > give_up:
                return None
        if not os.read(self._results, 1):
            return None
        self._last = time.monotonic()
        result: dict[str, Any] = json.loads(Path(self._folder.name, _RESULT).read_text())
        return result

    @property
    def is_ready(self) -> bool:
        """Whether it can take a request, and is not about to end by itself."""
        return self._process.poll() is None and time.monotonic() - self._last < _IDLE_SECONDS / 2

    def end(self) -> tuple[int, str]:
        """End the process.

        Returns:
            Its exit code, and the last line that it printed.
        """
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(BrokenPipeError):
            self._process.stdin.close()  # an idle process ends when its input closes
        try:
            code = self._process.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            code = -signal.SIGALRM  # report it like a process that its own alarm has ended
        os.close(self._results)
        lines = self._errors.read_text(errors="replace").strip().splitlines()
        self._folder.cleanup()
        return code, next(reversed(lines), "nothing")


_kept: dict[str, _Process] = {}
"""An idle process of each candidate."""


def end_processes(candidate: str) -> None:
    """End this process's worker of a candidate; workers elsewhere end by themselves."""
    if (process := _kept.pop(candidate, None)) is not None:
        process.end()


def _run(data: TrainingData, candidate: str, request: dict[str, Any], seconds: float) -> Any:
    limit = format_duration(data.spec.training.time_limit)
    request |= {"data": data.to_json(), "path_of_modules": sys.path}
    process = _kept.pop(candidate, None)
    if process is not None and not process.is_ready:
        process.end()
        process = None
    process = process or _Process()
    result = process.run(request, seconds + _STARTING_SECONDS)
    if result is None:
        code, line = process.end()
        if code == -signal.SIGALRM:
            raise TrainingError(
                f"{candidate} took longer than training.time_limit, {limit}; raise it, or drop the candidate"
            )
        raise TrainingError(f"the process of {candidate} ended with code {code}; its last line: {line}")
    if (other := _kept.pop(candidate, None)) is not None:  # another thread has kept one meanwhile
        other.end()
    _kept[candidate] = process
    for line in result.get("warnings", ()):
        logger.warning("%s", line)
    if "error" in result:
        raise TrainingError(result["error"])
    return result["result"]


def _result_of(request: dict[str, Any]) -> dict[str, Any]:
    # Import first: the time limit covers the candidate's own work alone.
    import sklearn.compose
    import sklearn.ensemble
    import sklearn.linear_model  # noqa: F401

    candidate = request["candidate"] if "candidate" in request else request["trial"]["candidate"]
    try:
        data = training_data_from_json(request["data"])
        data.training_rows(data.split.training)  # reading doesn't count towards the candidate's time
        signal.setitimer(signal.ITIMER_REAL, max(0.0, request["seconds"]) + _GRACE)  # ends the process
        if request["do"] == "try":
            trial = try_in_process(data, TuningRequest.model_validate(request["trial"]), request["seconds"])
            return {"result": trial.model_dump(mode="json")}
        window = TypeAdapter[Window](Sample | Window).validate_python(request["window"])
        fitted = fit_in_process(data, candidate, window, request["path"], Setting.model_validate(request["setting"]))
        return {"result": fitted.model_dump(mode="json")}
    except EverfitError as error:
        return {"error": f"{candidate}: {error}"}
    except Exception as error:  # noqa: BLE001 - an estimator may raise anything; the result carries it
        return {"error": f"{candidate}: {type(error).__name__}: {error}"}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Kept(logging.Handler):
    """Keeps everfit's own warnings, for the log of the process that has sent the request."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        self._lines.append(record.getMessage())

    def take(self) -> list[str]:
        """Return the warnings since the last time."""
        lines, self._lines = self._lines, []
        return lines


def main(folder: Path, results: int) -> None:
    """Run a request from one file and write its result to another, whenever a byte arrives on standard input.

    Args:
        folder: Folder of both files.
        results: File descriptor that gets a byte after each result.
    """
    os.set_inheritable(results, False)
    kept = _Kept()
    logging.getLogger("everfit").addHandler(kept)
    while select.select([0], [], [], _IDLE_SECONDS)[0] and os.read(0, 1):
        request = json.loads((folder / _REQUEST).read_text())
        sys.path[:] = list(dict.fromkeys([*sys.path, *request.pop("path_of_modules")]))
        (folder / _RESULT).write_text(json.dumps(_result_of(request) | {"warnings": kept.take()}))
        os.write(results, b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
