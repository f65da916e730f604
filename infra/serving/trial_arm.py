"""Predict with a challenger on trial for the keys of its arm; the champion takes over if it fails."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from everfit.blocks.errors import EverfitError
from everfit.infra.serving.batching import ScoredRequest
from everfit.infra.serving.protocol import Identified, RequestTable
from everfit.infra.serving.secondary_model import SecondaryModel
from everfit.infra.serving.servable import Servable
from everfit.infra.serving.spool import Spool, SpoolError
from everfit.tasks.release.traffic.traffic_split import TrafficSplit
from everfit.tasks.scoring.certainty import CertaintyRules

logger = logging.getLogger(__name__)

_PATIENCE_S = 2.0  # seconds until the champion takes over


class UnfitChallengerError(EverfitError):
    """The challenger can't replace the champion: it has other classes, or takes too long."""


class TrialArm(SecondaryModel):
    """A challenger on trial; a slow one delays only its own keys, and not for long.

    Args:
        spool: Spool for its predictions.
        max_waiting: Maximum number of waiting rows.
        outlier_above: Outlier score above which a row is counted as flagged.
        certainty: Rules for saying how sure the answers are; by default nothing is said.
    """

    def __init__(
        self, spool: Spool, *, max_waiting: int, outlier_above: float, certainty: CertaintyRules | None = None
    ) -> None:
        super().__init__(spool, "challenger", max_waiting=max_waiting, outlier_above=outlier_above, certainty=certainty)
        self._on: tuple[Servable, TrafficSplit] | None = None
        self.failed = 0

    @property
    def on(self) -> tuple[Servable, TrafficSplit] | None:
        """Return the challenger on trial with its traffic split."""
        return self._on

    def replace(self, servable: Servable | None, arms: TrafficSplit | None) -> None:
        """Replace the challenger or its traffic split, or end the trial with None."""
        self._on = None if servable is None or arms is None else (servable, arms)

    def deal(
        self, champion: Servable, names: Identified, features: Mapping[str, Sequence[Any]]
    ) -> tuple[Servable, list[int]] | None:
        """Return the challenger and its rows of a request, if it has any.

        Args:
            champion: Version that predicts the other rows.
            names: Identity of the rows. A row without a key is routed by its features: equal inputs get the same arm.
            features: Checked values by column.
        """
        on = self._on
        if on is None or on[1].champion != champion.version.version or not on[1].share:
            return None
        challenger, arms = on
        keys = [key or repr([values[row] for values in features.values()]) for row, key in enumerate(names.keys)]
        rows = [row for row, key in enumerate(keys) if arms.routes_to_challenger(key)]
        return (challenger, rows) if rows else None

    async def ask(
        self,
        challenger: Servable,
        champion: Servable,
        table: RequestTable,
        logged: Mapping[str, list[Any]],
        client: str,
        *,
        new_categories: bool,
        flag: str | None,
    ) -> ScoredRequest | None:
        """Predict with the challenger.

        Args:
            challenger: Version on trial.
            champion: Version that it replaces.
            table: Its rows of the request.
            logged: Key and event time of these rows.
            client: The client.
            new_categories: Whether to accept categories that the training data lacks.
            flag: Suspicion about the client.

        Returns:
            Its logged predictions, or None if it failed and the champion must predict.

        Raises:
            SpoolError: If the predictions can't be stored durably.
        """
        try:
            if challenger.scorer.classes != champion.scorer.classes:
                raise UnfitChallengerError("its classes differ from the champion's")
            future: asyncio.Future[ScoredRequest] = asyncio.get_running_loop().create_future()
            self.put(challenger, table, logged, client, new_categories=new_categories, flag=flag, future=future)
            async with asyncio.timeout(_PATIENCE_S):
                return await future
        except SpoolError:
            raise
        except (EverfitError, TimeoutError) as error:
            # Don't show its text, because it may quote feature values.
            logger.warning("version %s failed on trial: %s", challenger.version.version, type(error).__name__)
            self.failed += table.rows
            return None
