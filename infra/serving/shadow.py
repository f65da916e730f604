"""Predict with a shadow: the challenger gets the champion's requests, and its predictions are only logged."""

from everfit.blocks.errors import EverfitError
from everfit.infra.serving.protocol import RequestTable
from everfit.infra.serving.secondary_model import SecondaryModel
from everfit.infra.serving.servable import Servable
from everfit.infra.serving.spool import Spool

_MAX_WAITING = 5_000


class Shadow(SecondaryModel):
    """A challenger that predicts after the response, with a short queue.

    Requests that don't fit into the queue, or that the challenger can't take, are skipped and counted.

    Args:
        spool: Spool for its predictions.
    """

    def __init__(self, spool: Spool) -> None:
        super().__init__(spool, "shadow", max_waiting=_MAX_WAITING, max_batch=256)
        self.servable: Servable | None = None
        self.passed_over = 0

    def replace(self, servable: Servable | None) -> None:
        """Replace the shadow, or end it with None."""
        self.servable = servable

    def copy(self, table: RequestTable, logged: dict[str, list[object]], client: str) -> None:
        """Queue a request that the champion has answered."""
        servable = self.servable
        if servable is None:
            return
        try:
            self.put(servable, table, logged, client, new_categories=True)
        except EverfitError:
            self.passed_over += table.rows
