"""Shadow: the challenger predicts what the champion has answered; its predictions are logged and never given."""

from everfit.blocks.errors import EverfitError
from everfit.infra.serving.protocol import RequestTable
from everfit.infra.serving.secondary_model import SecondaryModel
from everfit.infra.serving.servable import Servable
from everfit.infra.serving.spool import Spool

_MAX_WAITING = 5_000


class Shadow(SecondaryModel):
    """Is asked after the answer, in a short queue: what doesn't fit is passed over and counted.

    So is what the challenger can't take.

    Args:
        spool: Where its predictions are logged.
    """

    def __init__(self, spool: Spool) -> None:
        super().__init__(spool, "shadow", max_waiting=_MAX_WAITING, max_batch=256)
        self.servable: Servable | None = None
        self.passed_over = 0

    def replace(self, servable: Servable | None) -> None:
        """Put another challenger in the shadow, or none."""
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
