"""The processor cores that this process may use or finds free, and threads of numeric libraries that fit them.

`import everfit` calls `fit_threads` first, so it holds wherever flows run: by a command, by any worker of Prefect, in a
container and in the prediction service.
"""

import math
import os
import statistics
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SPINS = "1000"
"""Looks of a waiting OpenMP thread before it sleeps, some 40 µs: with fewer, the many short parts of a boosting's fit
wait for threads to wake up; with more, threads that wait take cores from those that compute."""
_LOOKS, _PAUSE_S = 5, 0.004


def fit_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set how the numeric libraries use threads, before they are imported. A variable that is set stays as it is.

    OpenMP's threads spin for a moment while they wait, and then sleep: threads that spin for long slow a busy machine
    down ten times, and threads that sleep at once make a fit on an idle one take four times as long. In a container
    with fewer cores than its machine, the libraries would start a thread for each core of the machine.

    Args:
        environment: The environment of this process.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", _SPINS)
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


@contextmanager
def on_free_cores() -> Iterator[None]:
    """Let OpenMP use as many threads as there are free cores now, and no more than the process would use otherwise.

    It is for work whose result doesn't depend on the number of threads: two fits beside each other on two cores take
    1.7 times as long with two threads each as with one.
    """
    free = free_cores()
    if free >= usable_cores():
        yield
        return
    from threadpoolctl import ThreadpoolController

    openmp = ThreadpoolController().select(user_api="openmp")
    threads = [library.num_threads for library in openmp.lib_controllers]
    with openmp.limit(limits=min([free, *threads])):
        yield


def free_cores(root: Path = Path("/")) -> int:
    """Return on how many of the usable cores no other thread computes at this moment; at least one.

    It is the median of a few looks at what runs on the machine. All usable cores count as free where a container has
    a quota, which is its own however busy the machine is, and on systems that don't tell what runs.

    Args:
        root: The file system with `proc` and `sys`.
    """
    usable, machine = usable_cores(root), os.cpu_count() or 1
    if usable < _allowed_cores():
        return usable
    running = []
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE_S)
        try:
            running.append(int(_read(root / "proc/loadavg").split()[3].split("/")[0]))
        except (IndexError, ValueError):
            return usable
    others = round(statistics.median(running)) - 1  # one of them is this thread, which looks
    return max(1, min(usable, machine - others))


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
