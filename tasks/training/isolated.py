"""A user's own candidate, tried and fitted in a process of its own: it may raise, crash, or take too long."""

import json
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
from everfit.tasks.data.split import Sample, TrainingData, data_told
from everfit.tasks.training.in_process import fit_here, try_here
from everfit.tasks.training.results import Fitted
from everfit.tasks.training.search import Setting, TuningRequest, TuningTrial

_STARTING_SECONDS = 120
"""What Python and the libraries may take to start, beside the candidate's own time."""
_IDLE_SECONDS = 60.0
"""After this a process that nobody asks ends by itself."""
_LOOK_SECONDS = 0.5
"""How often it is looked whether a process lives that should answer."""
_REQUEST, _ANSWER = "request.json", "answer.json"
_GRACE = 1.0
"""A candidate that looks at the clock itself, between its folds, tells what it has found."""


def try_setting(data: TrainingData, asked: TuningRequest, seconds: float) -> TuningTrial:
    """Try a setting as `everfit.tasks.training.train.try_setting` does, in another process.

    Raises:
        TrainingError: it took too long, or its process ended without an answer.
    """
    request = {"do": "try", "asked": asked.model_dump(mode="json"), "seconds": seconds}
    return TuningTrial.model_validate(_ask(data, asked.candidate, request, seconds))


def fit_on(data: TrainingData, candidate: str, window: Window, path: str, setting: Setting) -> Fitted:
    """Fit a candidate as `everfit.tasks.training.train.fit_on` does, in another process.

    Raises:
        TrainingError: it failed, took too long, or its process ended without an answer.
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
        return Fitted.model_validate(_ask(data, candidate, request, seconds))
    finally:
        end_processes(candidate)


class _Process:
    """A process that does for a candidate what it is asked to, one thing after the other, until nobody asks any more.

    Starting one takes seconds, so that one is kept for the settings of a search.
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="everfit-candidate-")
        self._errors = Path(self._folder.name, "errors.txt")
        self._answered, told = os.pipe()
        command = [sys.executable, "-m", "everfit.tasks.training.isolated", self._folder.name, str(told)]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, pass_fds=(told,)
            )
        os.close(told)
        self._last = time.monotonic()

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """Ask, and wait for the answer.

        Returns:
            The answer; None when the process has ended instead, or was ended after so many seconds.
        """
        Path(self._folder.name, _REQUEST).write_text(json.dumps(request))
        assert self._process.stdin is not None  # noqa: S101 - it was given one
        with suppress(BrokenPipeError):  # it has ended, which is seen below
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        give_up = time.monotonic() + seconds
        while not select.select([self._answered], [], [], _LOOK_SECONDS)[0]:
            if self._process.poll() is not None or time.monotonic() > give_up:
                return None
        if not os.read(self._answered, 1):
            return None
        self._last = time.monotonic()
        answer: dict[str, Any] = json.loads(Path(self._folder.name, _ANSWER).read_text())
        return answer

    @property
    def waits(self) -> bool:
        """Whether it can be asked, and is not about to end by itself."""
        return self._process.poll() is None and time.monotonic() - self._last < _IDLE_SECONDS / 2

    def end(self) -> tuple[int, str]:
        """End it.

        Returns:
            Its exit code, and the last line that it said.
        """
        assert self._process.stdin is not None  # noqa: S101 - it was given one
        with suppress(BrokenPipeError):
            self._process.stdin.close()  # who waits to be asked ends by this
        try:
            code = self._process.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            code = -signal.SIGALRM  # as if it had looked at the clock itself
        os.close(self._answered)
        said = self._errors.read_text(errors="replace").strip().splitlines()
        self._folder.cleanup()
        return code, next(reversed(said), "nothing")


_kept: dict[str, _Process] = {}
"""By candidate, a process that waits to be asked again."""


def end_processes(candidate: str) -> None:
    """End what waits here to be asked again of a candidate; elsewhere it ends by itself."""
    if (process := _kept.pop(candidate, None)) is not None:
        process.end()


def _ask(data: TrainingData, candidate: str, request: dict[str, Any], seconds: float) -> Any:
    limit = format_duration(data.spec.training.time_limit)
    request |= {"data": data.told(), "path_of_modules": sys.path}
    process = _kept.pop(candidate, None)
    if process is not None and not process.waits:
        process.end()
        process = None
    process = process or _Process()
    found = process.ask(request, seconds + _STARTING_SECONDS)
    if found is None:
        code, said = process.end()
        if code == -signal.SIGALRM:
            raise TrainingError(f"{candidate}: took longer than training.time_limit, {limit}")
        raise TrainingError(f"{candidate}: its process ended with code {code}, saying: {said}")
    if (other := _kept.pop(candidate, None)) is not None:  # of another thread, that has come first
        other.end()
    _kept[candidate] = process
    if "error" in found:
        raise TrainingError(found["error"])
    return found["found"]


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    # The time is the candidate's own, and not that of importing what everybody needs.
    import sklearn.compose
    import sklearn.ensemble
    import sklearn.linear_model  # noqa: F401

    candidate = asked["candidate"] if "candidate" in asked else asked["asked"]["candidate"]
    try:
        data = data_told(asked["data"])
        data.training_rows(data.split.training)  # reading is none of the candidate's time
        signal.setitimer(signal.ITIMER_REAL, max(0.0, asked["seconds"]) + _GRACE)  # ends the process
        if asked["do"] == "try":
            tried = try_here(data, TuningRequest.model_validate(asked["asked"]), asked["seconds"])
            return {"found": tried.model_dump(mode="json")}
        window = TypeAdapter[Window](Sample | Window).validate_python(asked["window"])
        fitted = fit_here(data, candidate, window, asked["path"], Setting.model_validate(asked["setting"]))
        return {"found": fitted.model_dump(mode="json")}
    except EverfitError as error:
        return {"error": f"{candidate}: {error}"}
    except Exception as error:  # noqa: BLE001 - an estimator may raise anything, and it is reported
        return {"error": f"{candidate}: {type(error).__name__}: {error}"}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main(folder: Path, told: int) -> None:
    """Do what is asked in a file, and answer in another, each time that a byte comes in."""
    os.set_inheritable(told, False)
    while select.select([0], [], [], _IDLE_SECONDS)[0] and os.read(0, 1):
        asked = json.loads((folder / _REQUEST).read_text())
        sys.path[:] = list(dict.fromkeys([*sys.path, *asked.pop("path_of_modules")]))
        (folder / _ANSWER).write_text(json.dumps(_answer(asked)))
        os.write(told, b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
