"""Live through history by one spec, in a process of its own, on this machine or on the worker of a cluster."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from everfit.blocks.errors import EverfitError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.rehearsal import sandbox
from everfit.tasks.rehearsal.life import Life

_PROCESS = "everfit.deployments.rehearsal.life_process"
POLL = 0.5
"""Seconds between looks at the process."""
_PATIENCE = 120.0
"""Seconds without a sign of the rehearsal, after which a life on another machine stops."""
_STOPPED = "stopped"


@dataclass(frozen=True)
class Pulse:
    """A file by which a rehearsal says that it goes on, also to machines that it can't reach otherwise.

    Attributes:
        path: The file.
    """

    path: Path

    def beat(self) -> None:
        """Say that the rehearsal goes on."""
        self.path.write_text(str(time.monotonic_ns()), encoding="utf-8")

    def stop(self) -> None:
        """Say that the rehearsal ends."""
        self.path.write_text(_STOPPED, encoding="utf-8")


class _Listener:
    """Listens to a pulse. Clocks of two machines may differ, so what counts is how long it has been the same."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse, self._heard, self._at = pulse, "", time.monotonic()

    @property
    def goes_on(self) -> bool:
        try:
            heard = self._pulse.path.read_text(encoding="utf-8")
        except OSError:
            heard = self._heard
        if heard != self._heard:
            self._heard, self._at = heard, time.monotonic()
        return heard != _STOPPED and time.monotonic() - self._at < _PATIENCE


@dataclass(frozen=True)
class LifeJob:
    """A policy to live through, with all that a worker needs for it.

    Attributes:
        name: The name of the policy.
        folder: The folder of the policy, as `sandbox.prepare_folder` makes it, with the job.
        spec: The spec of the policy.
        pulse: The pulse of the rehearsal.
        place: Working folder of the command, where relative paths begin.
    """

    name: str
    folder: Path
    spec: ModelSpec
    pulse: Pulse
    place: Path

    @property
    def result(self) -> Path:
        """Return the file of the life that is over."""
        return self.folder / "life.json"


def live(job: LifeJob) -> Life:
    """Live through a policy; what was lived through before is kept.

    Args:
        job: The policy.

    Raises:
        EverfitError: The process failed, or the rehearsal has ended meanwhile.
    """
    if not job.result.exists():
        _run(job)
    return Life.model_validate_json(job.result.read_bytes())


def _run(job: LifeJob) -> None:
    log_file, listener = job.folder / sandbox.LOG, _Listener(job.pulse)
    with log_file.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", _PROCESS, str(job.folder)],
            cwd=job.place,
            env=sandbox.environment(job.folder) | sandbox.secret_variables(job.spec),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            while process.poll() is None:
                if not listener.goes_on:
                    raise EverfitError(f"the life of {job.name!r} was stopped; run the command again to go on")
                time.sleep(POLL)
        finally:
            if process.poll() is None:
                process.kill()  # Prefect makes an exception of SIGTERM, and life would go on
                process.wait()
    if process.returncode:
        last = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise EverfitError(
            f"the life of {job.name!r} ended with {process.returncode}: {' '.join(last)[:300]}; {log_file} "
            f"has all of its log, and the command goes on where it was"
        )
