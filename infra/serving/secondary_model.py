"""A model that predicts beside the champion: in a thread and a queue of its own, so that it delays no other answer.

What it's given was checked for the champion, and is checked again for it: it may take other features.
"""

import asyncio
from collections.abc import Mapping

from everfit.infra.serving.batching import Batcher, Job, ScoredRequest
from everfit.infra.serving.protocol import RequestTable
from everfit.infra.serving.servable import Servable
from everfit.infra.serving.spool import Spool
from everfit.tasks.predictions.prediction_log import Arm


class SecondaryModel:
    """Asks one model, which may be replaced by another at any time.

    Args:
        spool: Where its predictions are logged.
        arm: In which it predicts.
        max_waiting: Rows that may wait.
        max_batch: Rows that are predicted together.
        outlier_above: From which outlier score a row is counted as flagged.
    """

    def __init__(
        self, spool: Spool, arm: Arm, *, max_waiting: int, max_batch: int = 1_024, outlier_above: float = 1.0
    ) -> None:
        self._arm = arm
        self._batcher = Batcher(spool, max_waiting=max_waiting, max_batch=max_batch, outlier_above=outlier_above)

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

    @property
    def outliers(self) -> int:
        """Rows of these that were flagged."""
        return self._batcher.outliers

    def put(
        self,
        servable: Servable,
        table: RequestTable,
        logged: Mapping[str, list[object]],
        client: str,
        *,
        new_categories: bool,
        flag: str | None = None,
        future: "asyncio.Future[ScoredRequest] | None" = None,
    ) -> None:
        """Queue a request that was checked for the champion.

        Args:
            servable: The model that predicts.
            table: The request's rows.
            logged: Their key and event time.
            client: The caller.
            new_categories: Let categories through that training hasn't seen.
            flag: The suspicion against the client.
            future: Gets the answer, if somebody waits for it.

        Raises:
            InputError: a value isn't what this model was trained for.
            OverloadedError: too many rows wait.
        """
        features = servable.inputs.check(table.columns, table.rows, new_categories=new_categories)
        wanted = {*servable.kinds} - {*features}
        kept = {name: values for name, values in logged.items() if name in wanted}
        self._batcher.put(Job(servable, features, kept, table.rows, client, arm=self._arm, flag=flag, future=future))
