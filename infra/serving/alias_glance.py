"""The aliases of all served models, by one request to the registry for all of them."""

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from everfit.tasks.registry.registered import RegistryReader

_SHARE = 0.01
"""Share of a core that these requests may take."""
_MOST_OTHERS = 100
"""If more models of the registry are served elsewhere, each served model is requested by itself."""


class AliasGlance:
    """Asks for the aliases of all models at once, and again when its answer is too old.

    Args:
        reader: Reads the registry.
        models: Number of served models.
        every_s: Seconds for which an answer is used; longer if the request takes so much processor time that it would
            need more than 1 % of a core.
    """

    def __init__(self, reader: "RegistryReader", models: int, every_s: float) -> None:
        self._reader, self._models, self._every_s = reader, models, every_s
        self._aliases: Mapping[str, Mapping[str, int]] | None = None
        self._until = float("-inf")
        self._lock = threading.Lock()

    def of(self, model: str) -> Mapping[str, int] | None:
        """Return the version of each alias of a model; None if the registry has too many models to tell.

        Raises:
            ModelError: The registry doesn't answer.
        """
        with self._lock:
            if time.monotonic() >= self._until:
                began = time.thread_time()
                self._aliases = self._reader.all_aliases(self._models + _MOST_OTHERS)
                self._until = time.monotonic() + max(self._every_s, (time.thread_time() - began) / _SHARE)
            return None if self._aliases is None else self._aliases.get(model, {})
