"""A part of a Dask scheduler that kills a worker in mid-flight."""

import os
import signal
from collections.abc import Mapping
from typing import Any

from distributed import SchedulerPlugin


class KillsOnce(SchedulerPlugin):
    """Kills the worker that gets the first task of a name, by SIGKILL.

    Args:
        task: Beginning of the task's key.
        processes: Id of each worker's process, by its address.
    """

    def __init__(self, task: str, processes: Mapping[str, int]) -> None:
        self._task, self._left = task, dict(processes)

    async def start(self, scheduler: Any) -> None:
        """Take note of the scheduler."""
        self._scheduler = scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Kill the worker of the first task."""
        if self._left and finish == "processing" and str(key).startswith(self._task):
            os.kill(self._left[self._scheduler.tasks[key].processing_on.address], signal.SIGKILL)
            self._left.clear()
