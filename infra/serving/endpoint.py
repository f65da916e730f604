"""An endpoint: serve one model, from the checked request to the logged prediction."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import EverfitError, ModelError
from everfit.blocks.joins import Join
from everfit.blocks.serving import ServingPolicy
from everfit.infra.serving.arm_predictions import ArmPredictions, part_of, whole_columns
from everfit.infra.serving.batching import Batcher, Job, ScoredRequest
from everfit.infra.serving.drain import Drain
from everfit.infra.serving.feature_lookup import FeatureLookup, NotReadyError
from everfit.infra.serving.label_commits import LabelCommits
from everfit.infra.serving.label_journal import LabelJournal
from everfit.infra.serving.model_cache import ModelCache
from everfit.infra.serving.protocol import Identified, RequestError, RequestTable, check_times, identify
from everfit.infra.serving.query_attacks import PROBING, QueryAttackDetector, QueryAttackError
from everfit.infra.serving.registry_watcher import RegistryWatcher
from everfit.infra.serving.servable import Servable
from everfit.infra.serving.shadow import Shadow
from everfit.infra.serving.spool import Spool
from everfit.infra.serving.trial_arm import TrialArm
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.label_index import LabelIndex
from everfit.tasks.predictions.log_columns import misfit
from everfit.tasks.predictions.prediction_log import Arm
from everfit.tasks.release.traffic.traffic_split import TrafficSplit
from everfit.tasks.scoring.certainty import CertaintyRules
from everfit.tasks.storage.deleted_keys import DeletedKeys, read_deleted_keys
from everfit.tasks.storage.tables import Table
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DAY_US = 86_400_000_000
_LOG_ANSWERS_WITHIN = 3.0  # seconds; a store that is down must not keep a release from being served


class OutlierError(EverfitError):
    """An input is too unlike the training data, and the policy refuses such inputs."""


@dataclass
class Endpoint:
    """Serves one model.

    Args:
        name: Name of the model.
        registered: Function that returns the client of the registry.
        folder: Folder for the spool and the copies of models, on a local disk.
        log: The prediction log.
        labels: The labels.
        policy: Serving policy.
        check_store: Function that raises if the tables' store isn't safe or can't be reached.
        workspace: The workspace, which has the digests of registered versions.
        joins: Sources from which features are looked up that a request lacks.
        signers: The signers in the spec of the model.
    """

    name: str
    registered: Callable[[], "MlflowClient"]
    folder: Path
    log: Table
    labels: Table
    policy: ServingPolicy = field(default_factory=ServingPolicy)
    check_store: Callable[[], object] = lambda: None
    workspace: Workspace | None = None
    joins: Sequence[Join] = ()
    signers: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.champion: Servable | None = None
        self.prediction_index = LabelIndex()
        self.label_journal = LabelJournal(
            self.folder / "labels",
            self.labels,
            sync=self.policy.durability == "disk",
            every_s=self.policy.drain_every.total_seconds(),
            most_days=self.policy.max_days,
            check_store=self.check_store,
            read_deleted=self.deleted_keys,
        )
        self.label_commits = LabelCommits(self.label_journal.keep, self.policy.max_days)
        self.spool = Spool.claim(
            self.folder / "spool", max_bytes=self.policy.spool_bytes, sync=self.policy.durability == "disk"
        )
        cache = ModelCache(self.folder / "models", self.workspace, self.signers)
        self.certainty = CertaintyRules(self.policy, cache.last_bounds())
        limits: dict[str, Any] = {"max_waiting": self.policy.max_waiting, "outlier_above": self.policy.outlier_above}
        self.batcher = Batcher(self.spool, certainty=self.certainty, **limits)
        self.refused_outliers = 0
        self.shadow = Shadow(self.spool)
        self.trial = TrialArm(self.spool, certainty=self.certainty, **limits)
        self.follower = RegistryWatcher(
            self.registered,
            self.name,
            cache,
            self._take_over,
            self._take_challenger,
            check=self._check_log,
            bounds=self.certainty.bounds if self.policy.intervals is not None else None,
            shadow=self.policy.shadow,
            every_s=self.policy.follow_every.total_seconds(),
        )
        self.drain: Drain | None = None
        self.lookup = FeatureLookup(self.name, self.joins, self.workspace) if self.joins else None
        self.probing: QueryAttackDetector | None = None
        if self.policy.probing != "ignore":
            for_s = self.policy.probing_for.total_seconds()
            self.probing = QueryAttackDetector(self.policy.probing_rows, self.policy.probing_share, for_s)
        self.refused_probing = 0
        self.stopping = False

    def start(self) -> None:
        """Load the champion and start to predict."""
        self.label_journal.drain.start()
        self.batcher.start()
        self.trial.start()
        self.shadow.start()
        self.follower.start()
        if self.lookup is not None:
            self.lookup.start()

    def stop(self) -> None:
        """Predict and log all waiting requests, and end."""
        self.stopping = True
        if self.lookup is not None:
            self.lookup.stop()
        self.follower.stop()
        self.trial.stop()
        self.batcher.stop()
        self.shadow.stop()
        self.label_journal.drain.stop()
        if self.drain is not None:
            self.drain.stop()
        else:
            self.spool.close()

    def _take_over(self, servable: Servable) -> None:
        key = [column.name for column in servable.inputs.key]
        if self.drain is None:
            self.drain = Drain(
                self.spool,
                self.log,
                key,
                servable.inputs.event_time,
                self.policy.drain_every.total_seconds(),
                check_store=self.check_store,
                read_deleted=self.deleted_keys,
            )
            self.drain.start()
        self.drain.key, self.drain.event_time = key, servable.inputs.event_time
        self.champion = servable  # a single assignment: a request sees either the old or the new champion

    def deleted_keys(self) -> DeletedKeys:
        """Return the keys whose deletion was requested; none without a workspace."""
        return DeletedKeys() if self.workspace is None else read_deleted_keys(self.workspace, self.name)

    def _check_log(self, servable: Servable) -> None:
        """Refuse a version whose predictions don't fit the log, unless the store doesn't answer in time."""
        types = {name: prediction_log.arrow_type(kind) for name, kind in servable.kinds.items()}
        problems: list[str] = []

        def look() -> None:
            with contextlib.suppress(Exception):
                problems.append(misfit(self.log, types))

        checking = threading.Thread(target=look, name=f"everfit-log-{self.name}", daemon=True)
        checking.start()
        checking.join(_LOG_ANSWERS_WITHIN)
        if problems and problems[0]:
            raise ModelError(f"{problems[0]}, or its predictions could not be logged")

    def _take_challenger(self, servable: Servable | None, arms: TrafficSplit | None) -> None:
        self.trial.replace(servable, arms)
        # A challenger that answers is not a shadow at the same time.
        self.shadow.replace(servable if arms is None or arms.shadow else None)

    @property
    def ready(self) -> bool:
        """Return whether requests are answered."""
        return self.champion is not None and not self.stopping

    def servable(self) -> Servable:
        """Return the champion.

        Raises:
            NotReadyError: If there is none yet, or the service is stopping.
        """
        if self.champion is None or self.stopping:
            raise NotReadyError(
                f"{self.name!r} can't predict: {'the service stops' if self.stopping else 'it has no champion yet'}"
            )
        return self.champion

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
        flag = self._flag_of(client, features, table.rows)
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

    def _flag_of(self, client: str, features: dict[str, list[Any]], rows: int) -> str | None:
        if self.probing is None or not self.probing.add_request(client, features, rows):
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

    def status(self) -> dict[str, Any]:
        """Return the response to `GET /models/{name}`."""
        champion, on_trial = self.champion, self.trial.on
        shadow = self.shadow.servable
        share = on_trial[1].share if on_trial else 0.0
        arms = (
            {"champion": 1.0 - share} | ({"challenger": share} if share else {}) | ({"shadow": 1.0} if shadow else {})
        )
        second = on_trial[0] if on_trial else shadow
        drain = self.drain.state if self.drain is not None else None
        return {
            "name": self.name,
            "version": champion.version.version if champion else None,
            "champion": champion and champion.describe(),
            "challenger": second and second.describe(),
            "arms": arms,
            "failed_version": self.follower.state.failed_version,
            "registry_reachable": self.follower.state.registry_reachable,
            "error": self.follower.state.error,
            "spool_bytes": self.spool.held_bytes,
            "drain_error": drain.error if drain else "",
            "set_aside": self.spool.aside + self.label_journal.spool.aside,
            "labels": {
                "spool_bytes": self.label_journal.spool.held_bytes,
                "drain_error": self.label_journal.drain.state.error,
            },
            **({} if self.lookup is None else {"joined": self.lookup.status()}),
            **({} if self.policy.intervals is None else {"intervals": self._intervals()}),
        }

    def _intervals(self) -> dict[str, Any] | None:
        """Return by what bounds the champion answers; None if it has none."""
        bounds = self.certainty.bounds.get(self.champion.version.version) if self.champion else None
        return None if bounds is None else bounds.model_dump(mode="json", exclude={"edges", "scales"})
