"""Predict with a second model beside the champion, in a thread and queue of its own, so that it delays no response.

A request was checked for the champion, and is checked again here, because the second model may have other features.
"""

import asyncio
from collections.abc import Mapping

from everfit.infra.serving.batching import Batcher, Job, ScoredRequest
from everfit.infra.serving.protocol import RequestTable
from everfit.infra.serving.servable import Servable
from everfit.infra.serving.spool import Spool
from everfit.tasks.predictions.prediction_log import Arm
from everfit.tasks.scoring.certainty import CertaintyRules


class SecondaryModel:
    """Runs one model, which may be replaced at any time.

    Args:
        spool: Spool for its predictions.
        arm: Arm of its predictions.
        max_waiting: Maximum number of waiting rows.
        max_batch: Maximum number of rows that are predicted together.
        outlier_above: Outlier score above which a row is counted as flagged.
        certainty: Rules for saying how sure the answers are; by default nothing is said.
    """

    def __init__(
        self,
        spool: Spool,
        arm: Arm,
        *,
        max_waiting: int,
        max_batch: int = 1_024,
        outlier_above: float = 1.0,
        certainty: CertaintyRules | None = None,
    ) -> None:
        self._arm = arm
        self._batcher = Batcher(
            spool, max_waiting=max_waiting, max_batch=max_batch, outlier_above=outlier_above, certainty=certainty
        )

    def start(self) -> None:
        """Start to predict."""
        self._batcher.start()

    def stop(self) -> None:
        """Predict all waiting jobs, and end."""
        self._batcher.stop()

    @property
    def rows(self) -> int:
        """Return the number of logged predictions."""
        return self._batcher.rows

    @property
    def outliers(self) -> int:
        """Return the number of flagged rows among them."""
        return self._batcher.outliers

    @property
    def abstained(self) -> int:
        """Return the number of rows among them that were too unsure."""
        return self._batcher.abstained

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
            servable: Version that predicts.
            table: Rows of the request.
            logged: Their key and event time.
            client: The client.
            new_categories: Whether to accept categories that the training data lacks.
            flag: Suspicion about the client.
            future: Future for the predictions, if the client waits for them.

        Raises:
            InputError: If a value doesn't fit this model's schema.
            OverloadedError: If too many rows are waiting.
        """
        features = servable.inputs.check(table.columns, table.rows, new_categories=new_categories)
        wanted = {*servable.kinds} - {*features}
        kept = {name: values for name, values in logged.items() if name in wanted}
        self._batcher.put(Job(servable, features, kept, table.rows, client, arm=self._arm, flag=flag, future=future))
