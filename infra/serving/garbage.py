"""Searches for garbage that keep no request waiting.

Python looks through all objects for those that only refer to each other, while nothing else runs. A service holds
several hundred thousand objects of imported libraries and loaded models, so such a search takes a third of a second.
They stay for as long as the process lives; so they are left out once a search has found them in use.
"""

import gc
import threading
import time
from collections.abc import Mapping
from typing import Any

_LONG_S = 0.01
_FEW_THREADS = 20


class GarbageSearches:
    """Makes searches for garbage short: none while the service starts, and later none through what stays.

    An object that is left out is still freed when nothing refers to it. Only objects that refer to each other stay,
    such as parts of a model version that was replaced.
    """

    def __init__(self) -> None:
        self._began = 0.0

    def pause(self) -> None:
        """Search for nothing while the service starts."""
        gc.disable()

    def resume(self) -> None:
        """Leave out all that was loaded so far, and search from now on.

        Each download by MLflow leaves a pool of threads behind, which ends only when a search finds it. Without many
        threads there is nothing to find, and the service answers some tenths of a second sooner.
        """
        if threading.active_count() > _FEW_THREADS:
            gc.collect()
        gc.freeze()
        gc.callbacks.append(self._after)
        gc.enable()

    def _after(self, phase: str, info: Mapping[str, Any]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        elif info["generation"] == 2 and time.perf_counter() - self._began > _LONG_S:
            gc.freeze()
