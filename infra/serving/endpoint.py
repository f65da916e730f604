"""An endpoint: what serves one model, put together, started and stopped."""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import ModelError
from everfit.blocks.joins import Join
from everfit.blocks.serving import ServingPolicy
from everfit.infra.serving.apart import Processes
from everfit.infra.serving.batching import Batcher
from everfit.infra.serving.drain import Drain
from everfit.infra.serving.feature_lookup import FeatureLookup, NotReadyError
from everfit.infra.serving.label_commits import LabelCommits
from everfit.infra.serving.label_journal import LabelJournal
from everfit.infra.serving.model_cache import ModelCache
from everfit.infra.serving.predictor import Predictor
from everfit.infra.serving.registry_watcher import RegistryWatcher
from everfit.infra.serving.rounds import Rounds
from everfit.infra.serving.servable import Servable
from everfit.infra.serving.shadow import Shadow
from everfit.infra.serving.spool import Spool
from everfit.infra.serving.trial_arm import TrialArm
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.label_index import LabelIndex
from everfit.tasks.predictions.log_columns import misfit
from everfit.tasks.registry.readers import MlflowReader
from everfit.tasks.registry.registered import RegistryReader
from everfit.tasks.release.traffic.traffic_split import TrafficSplit
from everfit.tasks.scoring.certainty import CertaintyRules
from everfit.tasks.storage.deleted_keys import DeletedKeys, read_deleted_keys
from everfit.tasks.storage.former_names import former_names, present_name
from everfit.tasks.storage.kept_table import KeptTable
from everfit.tasks.storage.tables import Table
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

_LOG_ANSWERS_WITHIN = 3.0  # seconds; a store that is down must not keep a release from being served


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
        after_drain: Function to call after predictions have moved into the log.
        drains: Threads in which predictions and labels are written into the tables; by default its own.
        checks: Threads in which the registry is asked; by default one of its own.
        glance: As for `RegistryWatcher`.
        apart: As for `ModelCache`.
        reader: Reads the registry; by default by its client.
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
    after_drain: Callable[[], object] = lambda: None
    drains: Rounds | None = None
    checks: Rounds | None = None
    glance: Callable[[str], Mapping[str, int] | None] = lambda _: None
    apart: Processes | None = None
    reader: RegistryReader | None = None

    def __post_init__(self) -> None:
        # The workspace and the registry may call the model by another name than the clients of this process.
        self.champion: Servable | None = None
        self.present_name = self.name
        self._former: list[str] | None = None
        self.prediction_index = LabelIndex()
        self._take_tables(self.log, self.labels)
        self.label_journal = LabelJournal(
            self.folder / "labels",
            self.labels,
            sync=self.policy.durability == "disk",
            every_s=self.policy.drain_every.total_seconds(),
            most_days=self.policy.max_days,
            check_store=self._find_tables,
            read_deleted=self.deleted_keys,
            rounds=self.drains,
        )
        self.label_commits = LabelCommits(self.label_journal.keep, self.policy.max_days)
        self.spool = Spool.claim(
            self.folder / "spool", max_bytes=self.policy.spool_bytes, sync=self.policy.durability == "disk"
        )
        cache = ModelCache(self.folder / "models", self.workspace, self.signers, apart=self.apart)
        self.certainty = CertaintyRules(self.policy, cache.last_bounds())
        limits: dict[str, Any] = {"max_waiting": self.policy.max_waiting, "outlier_above": self.policy.outlier_above}
        self.batcher = Batcher(self.spool, certainty=self.certainty, **limits)
        self.shadow = Shadow(self.spool)
        self.trial = TrialArm(self.spool, certainty=self.certainty, **limits)
        self.follower = RegistryWatcher(
            self.reader or MlflowReader(self.registered),
            self.name,
            cache,
            self.take_over,
            self._take_challenger,
            registered=self.registered,
            find_name=self._find_name,
            check=self._check_log,
            bounds=self.certainty.bounds if self.policy.intervals is not None else None,
            shadow=self.policy.shadow,
            every_s=self.policy.follow_every.total_seconds(),
            rounds=self.checks,
            glance=self.glance,
        )
        self.drain: Drain | None = None
        self.lookup = FeatureLookup(self.name, self.joins, self.workspace) if self.joins else None
        self.predictor = Predictor(self.policy, self.batcher, self.trial, self.shadow, self.lookup)
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

    def take_over(self, servable: Servable) -> None:
        """Answer by a version from now on.

        Args:
            servable: The version, ready to serve.
        """
        key = [column.name for column in servable.inputs.key]
        if self.drain is None:
            self.drain = Drain(
                self.spool,
                self.log,
                key,
                servable.inputs.event_time,
                self.policy.drain_every.total_seconds(),
                identity=servable.inputs.identity,
                check_store=self._find_tables,
                read_deleted=self.deleted_keys,
                after_work=self.after_drain,
                rounds=self.drains,
            )
            self.drain.former = self._folders_before("spool")
            self.drain.start()
        self.drain.key, self.drain.event_time = key, servable.inputs.event_time
        self.drain.identity = servable.inputs.identity
        self.champion = servable  # a single assignment: a request sees either the old or the new champion

    def _find_tables(self) -> None:
        """Check the store, and turn to the tables of the model's present name."""
        self.check_store()
        if self.workspace is not None and self._former is None:
            self._former = former_names(self.workspace, self.present_name)
        self._find_name()
        self.label_journal.drain.table, self.label_journal.drain.former = self.labels, self._folders_before("labels")
        if self.drain is not None:
            self.drain.table, self.drain.former = self.log, self._folders_before("spool")

    def _find_name(self) -> str:
        """Return how the model is called now, and remember it."""
        if (
            self.workspace is not None
            and (name := present_name(self.workspace, self.present_name)) != self.present_name
        ):
            logger.info("%s is called %s now; predictions and labels are logged under that name", self.name, name)
            self._take_tables(self.workspace.table(name, "predictions"), self.workspace.table(name, "labels"))
            self.present_name = self.follower.model = name
            if self.lookup is not None:
                self.lookup.model = name
        return self.present_name

    def _take_tables(self, log: Table, labels: Table) -> None:
        """Write into these tables from now on; the drain of each is its only writer in this process."""
        self.log, self.labels = replace(log, kept=KeptTable()), replace(labels, kept=KeptTable())

    def _folders_before(self, kind: str) -> list[Path]:
        """Return the folders in which services of the model's former names keep what is not in its tables yet."""
        return [self.folder.parent / name / kind for name in self._former or () if name != self.name]

    def deleted_keys(self) -> DeletedKeys:
        """Return the keys whose deletion was requested; none without a workspace."""
        return DeletedKeys() if self.workspace is None else read_deleted_keys(self.workspace, self.present_name)

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
            NotReadyError: If there is none yet or none that can be served, or the service is stopping.
        """
        if self.champion is None or self.stopping:
            raise NotReadyError(f"{self.name!r} can't predict: {self._why_not()}")
        return self.champion

    def _why_not(self) -> str:
        """Return why there is no champion to answer."""
        state = self.follower.state
        if self.stopping:
            return "the service stops"
        if state.failed_version is not None:
            return f"version {state.failed_version} is not served: {state.error}"
        if state.error:
            return f"the registry can't be reached: {state.error}"
        return "it has no champion yet"

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
