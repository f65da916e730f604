"""Run the lives and the fits of a rehearsal side by side, with progress; what an earlier run has done is kept."""

import fcntl
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from everfit.blocks.errors import EverfitError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.registry.own_code import COMMIT, own_code
from everfit.tasks.rehearsal import sandbox
from everfit.tasks.rehearsal.life import Life
from everfit.tasks.rehearsal.matrix import Fit, Matrix, fit_all, measure_all
from everfit.tasks.rehearsal.patches import patched
from everfit.tasks.rehearsal.plan import SPEC, RehearsalPlan
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.training.results import Choice

_PROCESS = "everfit.deployments.rehearsal.life_process"
_POLL, _REPORT = 0.5, 15.0
"""Seconds between looks at the progress, and between lines about it."""


class Running:
    """A rehearsal that is run.

    Args:
        spec: The model's spec.
        plan: Of the rehearsal.
        root: Folder of the rehearsal.
        real: The real workspace, of which only the deleted keys are read.
        jobs: How many lives and fits run at a time.
        report: Takes lines about the progress.
    """

    def __init__(  # noqa: PLR0917 - each is a part of the rehearsal
        self,
        spec: ModelSpec,
        plan: RehearsalPlan,
        root: Path,
        real: Workspace,
        jobs: int,
        report: Callable[[str], object],
    ) -> None:
        self.spec, self.plan, self.root, self.real = spec, plan, root, real
        self.jobs, self.report = jobs, report
        self._stopped = Event()
        self._folders: dict[str, Path] = {}
        for policy in plan.policies:
            changed = patched(spec, policy.patch, f"the policy {policy.name!r}") if policy.patch else spec
            self._folders[policy.name] = sandbox.folder_of(root, f"{policy.name} {spec_identity(changed)[:8]}")

    @property
    def _matrix(self) -> Path:
        return self.root / "matrix"

    def run(self) -> tuple[dict[str, Life], Matrix | None]:
        """Live through all policies and fit the matrix, and return what became of them.

        Raises:
            EverfitError: A life failed, or the same rehearsal is running.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with _locked(self.root / "lock"), ThreadPoolExecutor(self.jobs) as pool:
            main, *others = self.plan.policies
            lives = {policy.name: pool.submit(self._live, policy.name, policy.patch) for policy in (main, *others)}
            fits = pool.submit(self._fit, lives[main.name])  # last, since it waits for the first model
            try:
                self._watch([*lives.values(), fits])
            finally:
                self._stopped.set()
            found = {name: life.result() for name, life in lives.items()}
            fitted = fits.result()
            matrix = None if fitted is None else self._measure(fitted)
        self._tidy()
        return found, matrix

    def _live(self, name: str, patch: Mapping[str, Any]) -> Life:
        """Live through a policy in a process of its own."""
        folder = self._folders[name]
        result = folder / "life.json"
        if not result.exists():
            spec = patched(self.spec, patch, f"the policy {name!r}") if patch else self.spec
            secrets = sandbox.prepare_folder(folder, spec, self.real)
            job = {
                "ends": [end.isoformat() for end in self.plan.ends],
                "until": self.plan.until.isoformat(),
                "keep_rows": name == SPEC,
            }
            (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
            self._process(name, folder, sandbox.environment(folder) | secrets)
        return Life.model_validate_json(result.read_bytes())

    def _process(self, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        with (folder / sandbox.LOG).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", _PROCESS, str(folder)],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                while process.poll() is None:
                    if self._stopped.wait(_POLL):
                        raise EverfitError(f"the life of {name!r} was stopped; run the command again to go on")
            finally:
                if process.poll() is None:
                    process.kill()  # Prefect makes an exception of SIGTERM, and life would go on
                    process.wait()
        if process.returncode:
            last = (folder / sandbox.LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise EverfitError(
                f"the life of {name!r} ended with {process.returncode}: {' '.join(last)[:300]}; {folder / sandbox.LOG} "
                f"has all of its log, and the command goes on where it was"
            )

    def _fit(self, main: "Future[Life]") -> list[Fit] | None:
        """Fit the matrix once the first model is known, unless an earlier run measured it; None without a model."""
        if self._is_measured:
            return []
        known = self._folders[SPEC] / "first.json"
        while not known.exists():
            if main.done() or self._stopped.wait(_POLL):
                break
        if not known.exists():
            return None
        first = json.loads(known.read_text())
        if first["choice"] is None:
            return None
        sandbox.copy_deleted_keys(self.real, Workspace(str(self._matrix / "workspace")), self.spec.name)
        return fit_all(self.spec, self.plan, first["place"], Choice.model_validate(first["choice"]), self._matrix)

    @property
    def _is_measured(self) -> bool:
        return (self._matrix / "matrix.json").exists()

    def _measure(self, fits: list[Fit]) -> Matrix:
        if not self._is_measured:
            self.report("each model of the matrix predicts each later window")
        return measure_all(self.spec, fits, self._folders[SPEC] / "rows", self._matrix)

    def _watch(self, running: "list[Future[Any]]") -> None:
        """Report progress with an estimate of the rest, until all is done or something fails."""
        began, before, said = time.monotonic(), self._lived(), 0.0
        left: set[Future[Any]] = set(running)
        while left:
            done, left = wait(left, timeout=_POLL, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            now = time.monotonic()
            if left and now - said > _REPORT:
                said = now
                self.report(self._line(began, before))

    def _line(self, began: float, before: int) -> str:
        windows = len(self.plan.ends) - 1
        counts = [f"{name}: {_lines(folder / 'progress.jsonl')}" for name, folder in self._folders.items()]
        fitted = len(list((self._matrix / "fits").glob("*.json"))) if self._matrix.exists() else 0
        text = f"{', '.join(counts)} of {windows} windows; {fitted} models of the matrix fitted"
        lived = self._lived()
        if lived > before:  # the fits take little of the time
            rest = (time.monotonic() - began) / (lived - before) * max(0, windows * len(self._folders) - lived)
            text += f"; about {rest / 60:.0f} min left" if rest > 90 else f"; about {rest:.0f} s left"
        return text

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
