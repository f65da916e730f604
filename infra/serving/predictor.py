"""Answer a request of one model: check it, predict it by the arm that it is dealt to, and log the predictions."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from everfit.blocks.errors import EverfitError
from everfit.blocks.serving import ServingPolicy
from everfit.infra.serving.arm_predictions import ArmPredictions, part_of, whole_columns
from everfit.infra.serving.batching import Batcher, Job, ScoredRequest
from everfit.infra.serving.feature_lookup import FeatureLookup
from everfit.infra.serving.protocol import Identified, RequestError, RequestTable, check_times, identify
from everfit.infra.serving.query_attacks import PROBING, QueryAttackDetector, QueryAttackError
from everfit.infra.serving.servable import Servable
from everfit.infra.serving.shadow import Shadow
from everfit.infra.serving.trial_arm import TrialArm
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.prediction_log import Arm

_DAY_US = 86_400_000_000


class OutlierError(EverfitError):
    """An input is too unlike the training data, and the policy refuses such inputs."""


class Predictor:
    """Answers the requests of one model.

    Args:
        policy: Serving policy.
        batcher: Predicts rows by the champion, and logs them.
        trial: The challenger that answers a share of the rows.
        shadow: The challenger that answers the same rows unseen.
        lookup: Looks up features that a request lacks; None if the spec joins no source.

    Attributes:
        probing: Watches for requests that probe the model; None if the policy ignores them.
        refused_outliers: Number of rows that were refused because they are unlike the training data.
        refused_probing: Number of rows that were refused because they look like probing.
    """

    def __init__(
        self, policy: ServingPolicy, batcher: Batcher, trial: TrialArm, shadow: Shadow, lookup: FeatureLookup | None
    ) -> None:
        self.policy, self.batcher, self.trial, self.shadow, self.lookup = policy, batcher, trial, shadow, lookup
        self.probing: QueryAttackDetector | None = None
        if policy.probing != "ignore":
            for_s = policy.probing_for.total_seconds()
            self.probing = QueryAttackDetector(policy.probing_rows, policy.probing_share, for_s)
        self.refused_outliers = self.refused_probing = 0

    async def predict(self, servable: Servable, table: RequestTable, client: str) -> list[ArmPredictions]:
        """Check, predict and log a request.

        Args:
            servable: The champion, as `servable` returned it.
            table: Rows of the request.
            client: The client.

        Returns:
            Predictions of one arm, or of two arms during a traffic trial.

        Raises:
            RequestError: If there are no rows, or too many.
            InputError: If a value doesn't fit the model's schema.
            OutlierError: If a row is too unlike the training data, and the policy refuses such rows.
            QueryAttackError: If the client's requests look like an attack, and the policy refuses such clients.
            OverloadedError: If too many rows are waiting.
            NotReadyError: If a joined source has not been read yet.
            SpoolError: If the predictions can't be stored durably.
        """
        if table.rows > self.policy.max_rows:
            raise RequestError(f"{table.rows} rows are too many; send at most {self.policy.max_rows} at once", 413)
        if table.rows == 0:
            raise RequestError("the request has no rows; send at least one")
        inputs, now_us, joined = servable.inputs, time.time_ns() // 1_000, None
        if self.lookup is not None:
            table, joined = self.lookup.fill(table, inputs, now_us)
        accept = self.policy.new_categories == "accept"
        features = inputs.check(table.columns, table.rows, new_categories=accept)
        if self.policy.outliers == "refuse":
            self._refuse_outliers(servable, features, table.rows)
        names = identify(table, features, inputs, now_us)
        if joined is not None:
            names.columns[prediction_log.JOINED] = joined
        at = names.columns.get(inputs.event_time, features.get(inputs.event_time, []))
        check_times(at, inputs.event_time, now_us, self.policy)
        self.check_days([None if value is None else value // _DAY_US for value in at], inputs.event_time)
        flag = self._flag_of(client, features, table.rows, inputs.numbers)
        dealt = self.trial.deal(servable, names, features)
        if dealt is not None:
            parts = await self._predict_on_trial(servable, table, features, names, dealt, client, flag)
        else:
            parts = [ArmPredictions(await self._ask(servable, features, names.columns, table.rows, client, flag=flag))]
        if self.probing is not None:
            for part in parts:
                probabilities = part.answer.scores.probabilities
                used = None if probabilities is None else probabilities[part.answer.start : part.answer.stop]
                self.probing.add_predictions(client, used)
        if dealt is None:
            self.shadow.copy(table, names.columns, client)
        return parts if joined is None else [replace(part, joined=joined) for part in parts]

    def check_days(self, days: Collection[Any], column: str) -> None:
        """Refuse a request whose rows are of too many days, because the tables have a file for each day of a write.

        Args:
            days: Day of each row.
            column: Column of the time.

        Raises:
            RequestError: There are too many.
        """
        most = self.policy.max_days
        if len(days) > most and (count := len(set(days))) > most:
            raise RequestError(f"the rows are of {count} days by {column!r}; send at most {most} days at once", 413)

    def _flag_of(self, client: str, features: dict[str, list[Any]], rows: int, numbers: Collection[str]) -> str | None:
        if self.probing is None or not self.probing.add_request(client, features, rows, numbers):
            return None
        if self.policy.probing == "refuse":
            self.refused_probing += rows
            raise QueryAttackError(
                "these requests look like probing of the model, so its policy refuses this client for a while"
            )
        return PROBING

    async def _ask(  # noqa: PLR0917
        self,
        servable: Servable,
        features: dict[str, list[Any]],
        logged: dict[str, list[Any]],
        rows: int,
        client: str,
        arm: Arm = "champion",
        *,
        flag: str | None,
    ) -> ScoredRequest:
        future: asyncio.Future[ScoredRequest] = asyncio.get_running_loop().create_future()
        self.batcher.put(Job(servable, features, logged, rows, client, arm=arm, flag=flag, future=future))
        return await future

    async def _predict_on_trial(  # noqa: PLR0917
        self,
        servable: Servable,
        table: RequestTable,
        features: dict[str, list[Any]],
        names: Identified,
        dealt: tuple[Servable, list[int]],
        client: str,
        flag: str | None,
    ) -> list[ArmPredictions]:
        """Predict with both arms at once; the champion also takes the rows on which the challenger fails."""
        challenger, tried = dealt
        rest = sorted({*range(table.rows)} - {*tried})

        async def ask_challenger() -> ArmPredictions:
            request = RequestTable(part_of(whole_columns(table), tried), len(tried))
            logged = part_of(names.columns, tried)
            accept = self.policy.new_categories == "accept"
            answer = await self.trial.ask(
                challenger, servable, request, logged, client, new_categories=accept, flag=flag
            )
            if answer is None:
                answer = await self._ask(
                    servable, part_of(features, tried), logged, len(tried), client, "fallback", flag=flag
                )
            return ArmPredictions(answer, tried)

        async def ask_champion() -> list[ArmPredictions]:
            if not rest:
                return []
            own, logged = part_of(features, rest), part_of(names.columns, rest)
            return [ArmPredictions(await self._ask(servable, own, logged, len(rest), client, flag=flag), rest)]

        tried_part, rest_parts = await asyncio.gather(ask_challenger(), ask_champion())
        return [*rest_parts, tried_part]

    def _refuse_outliers(self, servable: Servable, features: dict[str, list[Any]], rows: int) -> None:
        bound = self.policy.outlier_above
        flagged = [
            row
            for row, score in enumerate(servable.scorer.outlier_scores(features, rows))
            if score is not None and score > bound
        ]
        if flagged:
            self.refused_outliers += len(flagged)
            raise OutlierError(
                f"row {flagged[0]} is more unlike the training data than {bound:.2%} of usual rows, and the model's "
                f"policy refuses such rows; {len(flagged)} of the {rows} rows are"
            )
