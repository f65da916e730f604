"""Run the lives and the fits of a rehearsal side by side, with progress; what an earlier run has done is kept."""

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from everfit.blocks.errors import EverfitError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.registry.own_code import COMMIT, own_code
from everfit.tasks.rehearsal import sandbox
from everfit.tasks.rehearsal.life import Life
from everfit.tasks.rehearsal.living import POLL, LifeJob, Pulse, live
from everfit.tasks.rehearsal.matrix import Fit, Matrix, fit_all, measure_all
from everfit.tasks.rehearsal.patches import patched
from everfit.tasks.rehearsal.plan import SPEC, RehearsalPlan, Rehearsed
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.training.results import Choice

REPORT = 15.0
"""Seconds between lines about the progress; later the lines are rarer."""
_RARER = 0.05
"""A line comes after this share of the time so far."""


class Running:
    """A rehearsal that is run.

    Args:
        spec: The model's spec.
        plan: The plan of the rehearsal.
        root: Folder of the rehearsal. Workers of a cluster have to reach it as well.
        real: The real workspace, of which only the deleted keys are read.
        workers: Where lives run, and fits where `far`.
        report: Takes lines about the progress.
        far: Whether the workers are those of a cluster. In threads fits run one after the other, because each uses
            every core by itself.
    """

    def __init__(  # noqa: PLR0917 - each is a part of the rehearsal
        self,
        spec: ModelSpec,
        plan: RehearsalPlan,
        root: Path,
        real: Workspace,
        workers: Executor,
        report: Callable[[str], object],
        *,
        far: bool = False,
    ) -> None:
        self.spec, self.plan, self.root, self.real = spec, plan, root.absolute(), real
        self.workers, self.report, self.far = workers, report, far
        self._pulse, self._stopped = Pulse(self.root / "pulse"), Event()
        self._folders: dict[str, Path] = {}
        for policy in plan.policies:
            self._folders[policy.name] = sandbox.folder_of(
                self.root, f"{policy.name} {spec_identity(self._spec_of(policy))[:8]}"
            )

    def _spec_of(self, policy: Rehearsed) -> ModelSpec:
        return patched(self.spec, policy.patch, f"the policy {policy.name!r}") if policy.patch else self.spec

    @property
    def _matrix(self) -> Path:
        return self.root / "matrix"

    @property
    def _fitting(self) -> Executor | None:
        return self.workers if self.far else None

    def run(self) -> tuple[dict[str, Life], Matrix | None]:
        """Live through all policies and fit the matrix, and return what became of them.

        Raises:
            EverfitError: A life failed, or the same rehearsal is running.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with _locked(self.root / "lock"), ThreadPoolExecutor(1) as beside:
            self._pulse.beat()
            lives = {policy.name: self.workers.submit(live, self._job(policy)) for policy in self.plan.policies}
            # Last, since it waits for the first model. On a cluster it only prepares the fits of others.
            fits = (beside if self.far else self.workers).submit(self._fit, lives[self.plan.policies[0].name])
            try:
                self._watch([*lives.values(), fits])
            finally:
                self._stopped.set()
                self._pulse.stop()
            found = {name: life.result() for name, life in lives.items()}
            fitted = fits.result()
            matrix = None if fitted is None else self._measure(fitted)
        self._tidy()
        return found, matrix

    def _job(self, policy: Rehearsed) -> LifeJob:
        """Prepare the folder of a policy, unless it was lived through before."""
        job = LifeJob(policy.name, self._folders[policy.name], self._spec_of(policy), self._pulse, Path.cwd())
        if not job.result.exists():
            sandbox.prepare_folder(job.folder, job.spec, self.real)
            windows = {
                "ends": [end.isoformat() for end in self.plan.ends],
                "until": self.plan.until.isoformat(),
                "keep_rows": policy.name == SPEC,
            }
            (job.folder / "job.json").write_text(json.dumps(windows), encoding="utf-8")
        return job

    def _fit(self, main: "Future[Life]") -> list[Fit] | None:
        """Fit the matrix once the first model is known, unless an earlier run measured it; None without a model."""
        if self._is_measured:
            return []
        known = self._folders[SPEC] / "first.json"
        while not known.exists():
            if main.done() or self._stopped.wait(POLL):
                break
        if not known.exists():
            return None
        first = json.loads(known.read_text())
        if first["choice"] is None:
            return None
        sandbox.copy_deleted_keys(self.real, Workspace(str(self._matrix / "workspace")), self.spec.name)
        choice = Choice.model_validate(first["choice"])
        return fit_all(self.spec, self.plan, first["place"], choice, self._matrix, workers=self._fitting)

    @property
    def _is_measured(self) -> bool:
        return (self._matrix / "matrix.json").exists()

    def _measure(self, fits: list[Fit]) -> Matrix:
        if not self._is_measured:
            self.report("each model of the matrix predicts each later window")
        return measure_all(self.spec, fits, self._folders[SPEC] / "rows", self._matrix, self._fitting)

    def _watch(self, running: "list[Future[Any]]") -> None:
        """Report progress with an estimate of the rest, until all is done or something fails."""
        began, before, said = time.monotonic(), self._lived(), 0.0
        left: set[Future[Any]] = set(running)
        while left:
            done, left = wait(left, timeout=POLL, return_when=FIRST_COMPLETED)
            self._pulse.beat()
            for future in done:
                future.result()
            now = time.monotonic()
            if left and now - said > max(REPORT, _RARER * (now - began)):
                said = now
                self.report(self._line(began, before))

    def _line(self, began: float, before: int) -> str:
        lived = {name: _lines(folder / "progress.jsonl") for name, folder in self._folders.items()}
        fitted = len(list((self._matrix / "fits").glob("*.json"))) if self._matrix.exists() else 0
        return progress_line(lived, len(self.plan.ends) - 1, fitted, time.monotonic() - began, before)

    def _lived(self) -> int:
        """Return how many windows were lived through, by all policies."""
        return sum(_lines(folder / "progress.jsonl") for folder in self._folders.values())

    def _tidy(self) -> None:
        """Delete the workspaces; the results stay, so that the same rehearsal is not run twice."""
        for folder in self._folders.values():
            for part in (sandbox.WORKSPACE, "prefect", "rows"):
                sandbox.remove(folder / part)
        for part in ("workspace", "fits"):
            sandbox.remove(self._matrix / part)


def spec_identity(spec: ModelSpec) -> str:
    """Return a digest of a spec and of the user's own code that it names: with either, results may change.

    Args:
        spec: The spec.
    """
    code = {name: digest for name, digest in own_code(spec).items() if not name.startswith(COMMIT)}
    return hashlib.sha256(json.dumps([spec.digest(), code], sort_keys=True).encode()).hexdigest()


def progress_line(lived: Mapping[str, int], windows: int, fitted: int, seconds: float, before: int) -> str:
    """Say how far a rehearsal is, and while it lives through windows, how long the rest of them will take.

    Args:
        lived: How many windows were lived through, by policy.
        windows: Windows that each policy lives through.
        fitted: Models of the matrix that were fitted.
        seconds: Since this run began.
        before: Windows of all policies that earlier runs lived through.

    Example:
        >>> progress_line({"the spec as it is": 3}, windows=5, fitted=2, seconds=60.0, before=1)
        'the spec as it is: 3 of 5 windows; 2 models of the matrix fitted; about 60 s left'
    """
    counts, done = (f"{policy}: {count}" for policy, count in lived.items()), sum(lived.values())
    text = f"{', '.join(counts)} of {windows} windows; {fitted} models of the matrix fitted"
    left = windows * len(lived) - done
    if done <= before or left <= 0:  # no pace is known yet, or the fits alone are left
        return text
    rest = seconds / (done - before) * left
    return f"{text}; about {rest / 60:.0f} min left" if rest > 90 else f"{text}; about {rest:.0f} s left"


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise EverfitError(
                f"this rehearsal is running already in {str(path.parent)!r}; wait for it, or stop it"
            ) from error
        yield
