"""Shadow: the challenger predicts what the champion has answered; its predictions are logged and never given."""

import logging

from everfit.blocks.errors import EverfitError
from everfit.infra.serving.batching import Batcher
from everfit.infra.serving.protocol import Table
from everfit.infra.serving.servable import Servable
from everfit.infra.serving.spool import Spool
from everfit.infra.serving.trial_arm import job_of

logger = logging.getLogger(__name__)

_MAX_WAITING = 5_000


class Shadow:
    """Has its own thread and its own bounded queue, and is asked after the answer: it can't delay one.

    What doesn't fit in the queue is passed over and counted, and so is what the challenger can't take.

    Args:
        spool: Where its predictions are logged.
    """

    def __init__(self, spool: Spool) -> None:
        self._batcher = Batcher(spool, max_waiting=_MAX_WAITING, max_batch=256)
        self.servable: Servable | None = None
        self.passed_over = 0

    def start(self) -> None:
        """Begin to predict."""
        self._batcher.start()

    def stop(self) -> None:
        """Predict what waits, and end."""
        self._batcher.stop()

    @property
    def rows(self) -> int:
        """Predictions that were logged."""
        return self._batcher.rows

    def replace(self, servable: Servable | None) -> None:
        """Put another challenger on trial, or none."""
        self.servable = servable

    def copy(self, table: Table, logged: dict[str, list[object]], client: str) -> None:
        """Queue a request that the champion has answered."""
        servable = self.servable
        if servable is None:
            return
        try:
            self._batcher.put(job_of(servable, table, logged, client, "shadow", new_categories=True))
        except EverfitError:
            self.passed_over += table.rows
