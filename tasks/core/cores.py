"""The processor cores that this process may use, and threads of numeric libraries that fit them.

`import everfit` calls `fit_threads` first, so it holds wherever flows run: by a command, by any worker of Prefect, in a
container and in the prediction service.
"""

import math
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def fit_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set how the numeric libraries use threads, before they are imported. A variable that is set stays as it is.

    Threads that spin while they wait slow a busy machine down ten times, so they sleep. In a container with fewer cores
    than its machine, the libraries would start a thread for each core of the machine.

    Args:
        environment: The environment of this process.
    """
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    cores = usable_cores()
    if cores < _allowed_cores():
        for name in _THREADS:
            environment.setdefault(name, str(cores))


def usable_cores(root: Path = Path("/")) -> int:
    """Return how many cores this process may use: those that it may run on, within the quota of its container.

    Args:
        root: The file system with `proc` and `sys`.
    """
    return max(1, min(_allowed_cores(), *(math.ceil(quota) for quota in _quotas(root)), 1 << 16))


def _allowed_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas of the process's control group and those above it, in cores."""
    groups = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = groups / controllers if controllers else groups
        own = top / path.lstrip("/")
        for folder in (own, *own.parents):
            if not folder.is_relative_to(top):
                break
            yield from _quota(folder)


def _quota(folder: Path) -> Iterator[float]:
    if limits := _read(folder / "cpu.max").split():  # version 2: the quota and the period
        quota, period = limits
    else:
        quota, period = _read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()
    if quota.isdigit() and period.isdigit() and int(quota) and int(period):
        yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
