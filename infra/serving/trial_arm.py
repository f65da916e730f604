"""The trial's arm: the challenger answers the keys that a trial has dealt to it, and the champion where it can't."""

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

logger = logging.getLogger(__name__)

_PATIENCE_S = 2.0  # then the champion answers


class UnfitChallengerError(EverfitError):
    """The challenger can't answer in the champion's place: it knows other classes, or takes too long."""


class TrialArm(SecondaryModel):
    """A slow challenger delays nobody but the keys that are its own, and those not for long.

    Args:
        spool: Where its predictions are logged.
        max_waiting: Rows that may wait.
        outlier_above: From which outlier score a row is counted as flagged.
    """

    def __init__(self, spool: Spool, *, max_waiting: int, outlier_above: float) -> None:
        super().__init__(spool, "challenger", max_waiting=max_waiting, outlier_above=outlier_above)
        self._on: tuple[Servable, TrafficSplit] | None = None
        self.failed = 0

    @property
    def on(self) -> tuple[Servable, TrafficSplit] | None:
        """Who is on trial, and its share."""
        return self._on

    def replace(self, servable: Servable | None, arms: TrafficSplit | None) -> None:
        """Put another challenger on trial, give it another share, or end the trial."""
        self._on = None if servable is None or arms is None else (servable, arms)

    def deal(
        self, champion: Servable, names: Identified, features: Mapping[str, Sequence[Any]]
    ) -> tuple[Servable, list[int]] | None:
        """Which rows of a request the challenger answers, if any.

        Args:
            champion: Who answers the others.
            names: Of the rows. A row without a key is dealt by its features: the same input gets the same arm.
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
        """Let the challenger answer.

        Args:
            challenger: Who is on trial.
            champion: In whose place it answers.
            table: Its rows of the request.
            logged: Key and event time of these rows.
            client: The caller.
            new_categories: Let categories through that training hasn't seen.
            flag: The suspicion against the client.

        Returns:
            Its answer, on record; nothing when it failed, and the champion must answer.

        Raises:
            SpoolError: the answer can't be made durable, so it isn't given.
        """
        try:
            if challenger.scorer.classes != champion.scorer.classes:
                raise UnfitChallengerError("it knows other classes than the champion")
            future: asyncio.Future[ScoredRequest] = asyncio.get_running_loop().create_future()
            self.put(challenger, table, logged, client, new_categories=new_categories, flag=flag, future=future)
            async with asyncio.timeout(_PATIENCE_S):
                return await future
        except SpoolError:
            raise
        except (EverfitError, TimeoutError) as error:
            # No text of it: it may quote feature values.
            logger.warning("version %s failed on trial: %s", challenger.version.version, type(error).__name__)
            self.failed += table.rows
            return None


def part_of(columns: Mapping[str, Sequence[Any]], rows: Sequence[int]) -> dict[str, list[Any]]:
    """Some rows of columns."""
    return {name: [values[row] for row in rows] for name, values in columns.items()}
