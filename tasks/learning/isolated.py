"""A user's own candidate, tried and fitted in a process of its own: it may raise, crash, or take too long."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import TypeAdapter

from everfit.blocks.errors import EverfitError, TrainingError
from everfit.blocks.policy import format_duration
from everfit.blocks.spec import ModelSpec
from everfit.tasks.data.split import Sample, Split, TrainingData
from everfit.tasks.learning.search import Setting
from everfit.tasks.learning.train import Fitted, Trial, fit_here, try_here
from everfit.tasks.records import Snapshot, Window
from everfit.tasks.workspace import Workspace

_STARTING_SECONDS = 120
"""What Python and the libraries may take to start, beside the candidate's own time."""
_GRACE = 1.0
"""A candidate that looks at the clock itself, between its tries, keeps what it has found."""


def try_candidate(data: TrainingData, candidate: str, warm: Setting | None) -> Trial:
    """Try a candidate as `everfit.tasks.learning.train.try_candidate` does, in another process.

    Raises:
        TrainingError: it took too long, or its process ended without an answer.
    """
    asked = {"do": "try", "candidate": candidate, "setting": None if warm is None else warm.model_dump(mode="json")}
    return Trial.model_validate(_ask(data, candidate, asked))


def fit_on(data: TrainingData, candidate: str, window: Window, path: str, setting: Setting) -> Fitted:
    """Fit a candidate as `everfit.tasks.learning.train.fit_on` does, in another process.

    Raises:
        TrainingError: it failed, took too long, or its process ended without an answer.
    """
    asked = {
        "do": "fit",
        "candidate": candidate,
        "setting": setting.model_dump(mode="json"),
        "window": window.model_dump(mode="json"),
        "path": path,
    }
    return Fitted.model_validate(_ask(data, candidate, asked))


def _ask(data: TrainingData, candidate: str, asked: dict[str, Any]) -> Any:
    limit = data.spec.training.time_limit
    asked["data"] = _told(data)
    with TemporaryDirectory(prefix="everfit-candidate-") as folder:
        request, answer = Path(folder, "request.json"), Path(folder, "answer.json")
        request.write_text(json.dumps({**asked, "path_of_modules": sys.path}))
        command = [sys.executable, "-m", "everfit.tasks.learning.isolated", str(request), str(answer)]
        seconds = limit.total_seconds()
        try:
            done = subprocess.run(  # noqa: S603 - our own module
                command,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=seconds + _STARTING_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise TrainingError(
                f"{candidate}: took longer than training.time_limit, {format_duration(limit)}"
            ) from None
        if done.returncode == -signal.SIGALRM:
            raise TrainingError(f"{candidate}: took longer than training.time_limit, {format_duration(limit)}")
        if not answer.exists():
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise TrainingError(f"{candidate}: its process ended with code {done.returncode}, saying: {said}")
        found = json.loads(answer.read_text())
    if "error" in found:
        raise TrainingError(found["error"])
    return found["found"]


def _told(data: TrainingData) -> dict[str, Any]:
    return {
        "spec": data.spec.content(),
        "snapshot": data.snapshot.model_dump(mode="json"),
        "split": data.split.model_dump(mode="json"),
        "until": data.until.isoformat(),
        "workspace": data.workspace.uri,
    }


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    # The time is the candidate's own, and not that of importing what everybody needs.
    import sklearn.compose
    import sklearn.ensemble
    import sklearn.linear_model  # noqa: F401

    told = asked["data"]
    data = TrainingData(
        ModelSpec.model_validate(told["spec"]),
        Snapshot.model_validate(told["snapshot"]),
        Split.model_validate(told["split"]),
        Window.model_validate({"until": told["until"]}).until,
        Workspace(told["workspace"]),
    )
    candidate, setting = asked["candidate"], asked["setting"]
    setting = None if setting is None else Setting.model_validate(setting)
    try:
        rows = data.training_rows(data.split.training)
        signal.setitimer(signal.ITIMER_REAL, data.spec.training.time_limit.total_seconds() + _GRACE)  # ends the process
        if asked["do"] == "try":
            tried = try_here(data, candidate, rows, setting)
            return {"found": tried.model_dump(mode="json")}
        window = TypeAdapter[Window](Sample | Window).validate_python(asked["window"])
        fitted = fit_here(data, candidate, window, asked["path"], setting or Setting())
        return {"found": fitted.model_dump(mode="json")}
    except EverfitError as error:
        return {"error": f"{candidate}: {error}"}
    except Exception as error:  # noqa: BLE001 - an estimator may raise anything, and it is told
        return {"error": f"{candidate}: {type(error).__name__}: {error}"}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main(request: Path, answer: Path) -> None:
    """Do what is asked in a file, and answer in another."""
    asked = json.loads(request.read_text())
    sys.path[:] = list(dict.fromkeys([*sys.path, *asked.pop("path_of_modules")]))
    content = json.dumps(_answer(asked))
    part = answer.with_suffix(".part")
    part.write_text(content)
    part.replace(answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
