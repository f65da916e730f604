"""Watch the registry, and keep the served versions in step with it."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.blocks.errors import ArtifactError, ModelError
from everfit.infra.serving.announcing import announce_changed_files, tell_not_served
from everfit.infra.serving.model_cache import ModelCache
from everfit.infra.serving.rounds import Round, Rounds
from everfit.infra.serving.servable import Servable, load_servable
from everfit.tasks.core.answer_bounds import AnswerBounds
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.skops_format import import_without_listing
from everfit.tasks.registry.bounds_tag import bounds_of_tags
from everfit.tasks.registry.model_registry import CHALLENGER, CHAMPION
from everfit.tasks.registry.registered import Registered, RegistryReader
from everfit.tasks.release.traffic.traffic_split import TrafficSplit, split_of_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

_RETRY_ROUNDS = 10  # number of rounds after which a failed version is tried again
_ASKED_EVERY_S = 60.0  # seconds after which a model is requested in full
_DOWNLOADS = 3  # number of failed downloads that count as the version's fault, not the registry's


@dataclass
class WatchState:
    """State of the watcher, for `/metrics` and `/models/{name}`.

    Attributes:
        swaps: Number of times that another version took over.
        failed_version: Version that could not be loaded or didn't answer; the previous version is served instead.
        error: Reason of the failure, or why the registry can't be reached.
        registry_reachable: Whether the registry answered last time.
    """

    swaps: int = 0
    failed_version: int | None = None
    error: str = ""
    registry_reachable: bool = False


class RegistryWatcher:
    """Watches one model's champion, and its challenger if that is on trial or a shadow.

    A new version is downloaded, loaded, warmed up and probed in a background thread. Only then it is swapped in by a
    single assignment. Requests that were checked for the old version are still answered by it.

    Args:
        reader: Reads the registry.
        model: Name of the model in the registry.
        cache: Copies of versions on disk.
        on_champion: Function to call with each new champion.
        on_challenger: Function to call with each new challenger and its traffic split (None for a shadow), or with None
            when there is no challenger any more.
        registered: Function that returns the client of the registry, for downloads in this process; called in the
            background, because the import takes seconds.
        find_name: Function that returns how the model is called now; asked where it has no champion. By default the
            name stays.
        check: Function that raises if a loaded version can't be served.
        bounds: The bounds of answers by version, which are kept as the registry has them; None if nobody wants them.
        shadow: Whether to load a challenger without a traffic split.
        every_s: Seconds between two checks of the registry.
        rounds: The threads of the checks; by default one of its own.
        glance: Function that tells a model's aliases by a request for many models, or None if it can't. While they are
            as before, the registry is not asked for this model.
    """

    def __init__(
        self,
        reader: RegistryReader,
        model: str,
        cache: ModelCache,
        on_champion: Callable[[Servable], None],
        on_challenger: Callable[[Servable | None, TrafficSplit | None], None],
        *,
        registered: Callable[[], "MlflowClient"],
        find_name: Callable[[], str] | None = None,
        check: Callable[[Servable], None] = lambda _: None,
        bounds: dict[int, AnswerBounds] | None = None,
        shadow: bool = False,
        every_s: float = 1.0,
        rounds: Rounds | None = None,
        glance: Callable[[str], Mapping[str, int] | None] = lambda _: None,
    ) -> None:
        self._reader, self._registered = reader, registered
        self.model, self.cache, self.every_s = model, cache, every_s
        self._on_champion, self._on_challenger, self._shadow = on_champion, on_challenger, shadow
        self._check, self._bounds, self._find_name = check, bounds, find_name or (lambda: model)
        self.state = WatchState()
        self._champion: ModelVersion | None = None
        self._serves = False
        self._challenger: Servable | None = None
        self._arms: TrafficSplit | None = None
        self._failed: dict[int, int] = {}
        self._missed: dict[int, int] = {}
        self._rounds = rounds or Rounds("everfit-follow")
        self._begun: Round | None = None
        self._glance, self._asked_at = glance, float("-inf")

    def start(self) -> None:
        """Load the last served champion, or at the first start the registry's; then watch the registry.

        The copy of the last champion is served during the first check of the registry, which takes seconds or may fail.
        """
        if not self._restore():
            self.follow()
        self._begun = self._rounds.begin(self._work)

    def stop(self) -> None:
        """End the checks."""
        if self._begun is not None:
            self._begun.end(5)

    def _work(self) -> float:
        try:
            self.follow()
        except Exception as error:  # such as a full disk: the next round may succeed
            self.state.error = f"{type(error).__name__}: {error}"
            logger.exception("%s: a check of the registry ended with an error", self.model)
        return self.every_s

    def follow(self) -> None:
        """Check the registry once, and load new versions."""
        try:
            if self._is_as_before():
                return
            asked_at = time.monotonic()
            found = self._reader.by_alias(self.model, CHAMPION)
            if found is None and (name := self._find_name()) != self.model:
                self.model = name
                found = self._reader.by_alias(name, CHAMPION)
            second = self._reader.by_alias(self.model, CHALLENGER)
            arms = split_of_tags(second.tags, second.version) if second is not None else None
            # Before the version: its first answer has them already.
            self._follow_bounds([one for one in (found, second) if one is not None])
        except Exception as error:  # noqa: BLE001 - serving goes on without the registry
            self._cannot_ask(error)
            return
        self._asked_at = asked_at
        champion, challenger = (None if one is None else one.version for one in (found, second))
        if not self.state.registry_reachable:
            self.state.registry_reachable, self.state.error = True, ""
        wanted = {one.version for one in (champion, challenger) if one is not None}
        if self.state.failed_version is not None and self.state.failed_version not in wanted:
            self.state.failed_version, self.state.error = None, ""  # the failed version was rolled back
        if champion is not None and champion != self._champion:
            servable = self._ready(champion)
            if servable is not None:
                self._on_champion(servable)
                self._serves = True
                logger.info("%s: version %s is served in place of %s", self.model, champion.version, self._served)
                self.state.swaps += self._champion is not None
                self._champion = champion
                self.cache.remember(champion)
        self._follow_challenger(challenger, arms)

    def _is_as_before(self) -> bool:
        """Return whether the aliases are known to be those of the versions that are served already.

        They don't tell a challenger's share and the bounds of answers, nor a registry that was replaced by another one:
        so these models, and each one once a minute, are requested in full.
        """
        if (aliases := self._glance(self.model)) is None or self._champion is None:
            return False
        watched = {alias: aliases[alias] for alias in (CHAMPION, CHALLENGER) if alias in aliases}
        unsettled = self._challenger is not None or self._bounds is not None or bool(self._failed or self._missed)
        if unsettled or not self.state.registry_reachable or watched != {CHAMPION: self._champion.version}:
            return False
        return time.monotonic() - self._asked_at < _ASKED_EVERY_S

    @property
    def _served(self) -> int | None:
        return None if self._champion is None else self._champion.version

    def _follow_bounds(self, versions: Sequence[Registered]) -> None:
        if self._bounds is None:
            return
        found: dict[int, AnswerBounds | None] = {}
        for one in versions:
            number = one.version.version
            try:
                found[number] = bounds_of_tags(one.tags, self.model, number)
            except ModelError as error:  # the last bounds stay, and the registry is asked again in the next round
                logger.warning("%s: %s", self.model, error)
        changed = {number: one for number, one in found.items() if one is not None and one != self._bounds.get(number)}
        if changed:
            self._bounds.update(changed)
            self.cache.remember_bounds(self._bounds)

    def _follow_challenger(self, challenger: ModelVersion | None, arms: TrafficSplit | None) -> None:
        wanted = None if challenger is None or (arms is None and not self._shadow) else challenger
        served = self._challenger
        if (wanted is None) == (served is None) and (wanted is None or served is None or wanted == served.version):
            servable = served
        else:
            servable = None if wanted is None else self._ready(wanted)
        split = None if servable is None else arms
        if (servable, split) != (served, self._arms):
            self._on_challenger(servable, split)
            self._challenger, self._arms = servable, split

    def _ready(self, version: ModelVersion) -> Servable | None:
        if self._failed.get(version.version, 0) > 0:
            self._failed[version.version] -= 1
            return None
        try:
            folder = self._fetch(version)
        except ArtifactError as error:
            self._fail(version, error)
            return None
        except Exception as error:  # noqa: BLE001 - the registry may have become unreachable
            self._missed[version.version] = self._missed.get(version.version, 0) + 1
            if self._missed[version.version] < _DOWNLOADS:
                self._cannot_ask(error)
            else:
                self._fail(version, error)
            return None
        try:
            servable = self._load(folder, version)
            self._check(servable)
        except Exception as error:  # noqa: BLE001 - the previous version is served for any failure
            self._fail(version, error)
            return None
        self._missed.pop(version.version, None)
        self._failed.pop(version.version, None)
        if self.state.failed_version in {None, version.version}:
            self.state.failed_version, self.state.error = None, ""
        return servable

    def _fetch(self, version: ModelVersion) -> Path:
        if (apart := self.cache.apart) is not None:
            return self.cache.fetch_apart(apart, version, self._reader.local_files(version), serves=self._serves)
        return self.cache.fetch(self._registered(), version)

    def _load(self, folder: Path, version: ModelVersion) -> Servable:
        condensed = self.cache.condensed(version, serves=self._serves)
        if condensed is None and self.cache.apart is not None:
            import_without_listing()
        return load_servable(folder, version, self.cache.checked_by(version), condensed)

    def _cannot_ask(self, error: Exception) -> None:
        if self.state.registry_reachable or not self.state.error:
            meanwhile = "so serving goes on unchanged" if self._serves else "so no version is served until it can be"
            logger.warning("%s: the registry can't be reached, %s: %s", self.model, meanwhile, error)
        self.state.registry_reachable, self.state.error = False, str(error)

    def _fail(self, version: ModelVersion, error: Exception) -> None:
        known = version.version in self._failed
        self._failed[version.version] = _RETRY_ROUNDS
        self.state.failed_version, self.state.error = version.version, f"{type(error).__name__}: {error}"
        if not known:
            logger.error("%s: version %s is not served: %s", self.model, version.version, self.state.error)
            tell_not_served(version, self._served, self.state.error)
            if isinstance(error, ArtifactError):
                announce_changed_files(version, str(error))

    def _restore(self) -> bool:
        """Serve the last champion from its copy; return whether there is one."""
        try:
            last = self.cache.last_champion()
            if last is None:
                return False
            version, folder = last
            servable = self._load(folder, version)
        except Exception as error:  # noqa: BLE001 - the copy is broken, and the registry has the original
            logger.error("%s: the copy of the last champion is unusable: %s", self.model, error)
            return False
        self._on_champion(servable)
        self._serves = True
        # A copy that can't be checked is served only until the first download of the same version.
        self._champion = version if self.cache.is_checked(version) else None
        logger.info("%s: serving version %s, the last known champion", self.model, version.version)
        return True
