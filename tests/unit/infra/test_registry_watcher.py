"""The follower: what it says of versions that can't be taken over, and of a registry that goes away in between."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from everfit.blocks.errors import ModelError
from everfit.infra.serving import registry_watcher
from everfit.infra.serving.registry_watcher import RegistryWatcher
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.registry.registered import Registered


def version(number: int) -> ModelVersion:
    return ModelVersion(model="delays", version=number, run_id="run", trained_until=datetime(2024, 1, 1, tzinfo=UTC))


class Stand:
    """A registry, a disk and a model whose faults the test decides on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.champion, self.challenger = version(1), None
        self.fetching: Exception | None = None
        self.loading: Exception | None = None
        self.told: list[int] = []
        monkeypatch.setattr(registry_watcher, "load_servable", self.load)
        monkeypatch.setattr(registry_watcher, "tell_not_served", lambda found, *_: self.told.append(found.version))
        cache: Any = SimpleNamespace(
            fetch=self.fetch,
            remember=lambda _: None,
            checked_by=lambda _: "workspace",
            condensed=lambda *_, **__: None,
            apart=None,
        )
        nothing: Any = lambda *_: None  # noqa: E731
        self.follower = RegistryWatcher(self, "delays", cache, nothing, nothing, registered=nothing, shadow=True)
        self.state = self.follower.state

    def by_alias(self, _: str, alias: str) -> Registered | None:
        if alias == "champion":
            return self.registered_champion()
        return None if self.challenger is None else Registered(self.challenger)

    def registered_champion(self) -> Registered | None:
        return None if self.champion is None else Registered(self.champion)

    def all_aliases(self, _: int) -> None:
        return None

    def fetch(self, _: Any, found: ModelVersion) -> ModelVersion:
        if self.fetching is not None:
            raise self.fetching
        return found

    def load(self, _: Any, found: ModelVersion, _checked_by: str, _condensed: object) -> Any:
        if self.loading is not None:
            raise self.loading
        return SimpleNamespace(version=found)

    def rounds(self, number: int) -> None:
        for _ in range(number):
            self.follower.follow()


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand(monkeypatch)
    made.rounds(1)
    return made


def test_a_challenger_that_loads_at_last_is_no_failed_version_any_more(stand: Stand) -> None:
    stand.challenger, stand.loading = version(2), MemoryError("too large just now")
    stand.rounds(1)
    assert (stand.state.failed_version, stand.told) == (2, [2])

    stand.loading = None
    stand.rounds(20)
    assert (stand.state.failed_version, stand.state.error) == (None, "")

    stand.challenger = None
    stand.rounds(1)
    stand.challenger, stand.loading = version(2), MemoryError("again")
    stand.rounds(1)
    assert stand.told == [2, 2]  # it is told anew


def test_a_registry_that_goes_away_before_the_download_has_not_made_a_version_bad(stand: Stand) -> None:
    stand.champion, stand.fetching = version(2), ConnectionError("refused")
    stand.rounds(1)
    assert (stand.state.registry_reachable, stand.state.failed_version, stand.told) == (False, None, [])
    assert "refused" in stand.state.error

    stand.fetching = None
    stand.rounds(1)
    assert (stand.state.registry_reachable, stand.state.error, stand.state.swaps) == (True, "", 1)


def test_a_version_that_cannot_be_downloaded_again_and_again_is_told(stand: Stand) -> None:
    stand.champion, stand.fetching = version(2), FileNotFoundError("no such artifact")
    stand.rounds(3)
    assert (stand.state.failed_version, stand.told) == (2, [2])


def test_a_registry_that_is_gone_is_told_with_what_is_served(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(*_: object) -> Registered:
        raise ModelError("MLflow at http://127.0.0.1:9 does not answer: Connection refused")

    monkeypatch.setattr(stand, "registered_champion", gone)
    stand.rounds(2)
    nothing: Any = lambda *_: None  # noqa: E731
    RegistryWatcher(stand, "taxis", stand.follower.cache, nothing, nothing, registered=nothing).follow()

    served, unserved = [record.getMessage() for record in caplog.records]
    assert "reached, so serving goes on unchanged: MLflow at http://127.0.0.1:9 does not answer" in served
    assert "taxis: the registry can't be reached, so no version is served until it can be: MLflow at" in unserved


class Glanced(Stand):
    """A stand whose aliases one request tells for all models."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.aliases = 0, {"champion": 1}
        super().__init__(monkeypatch)
        nothing: Any = lambda *_: None  # noqa: E731
        self.follower = RegistryWatcher(
            self,
            "delays",
            self.follower.cache,
            nothing,
            nothing,
            registered=nothing,
            shadow=True,
            glance=lambda _: self.aliases,
        )
        self.state = self.follower.state

    def registered_champion(self) -> Registered | None:
        self.asked += 1
        return super().registered_champion()


@pytest.fixture
def glanced(monkeypatch: pytest.MonkeyPatch) -> Glanced:
    made = Glanced(monkeypatch)
    made.rounds(1)
    assert made.asked == 1
    return made


def test_a_model_whose_aliases_are_as_before_is_not_asked_for(glanced: Glanced) -> None:
    glanced.rounds(5)
    assert glanced.asked == 1


def test_a_new_champion_is_asked_for_and_served(glanced: Glanced) -> None:
    glanced.champion, glanced.aliases = version(2), {"champion": 2}
    glanced.rounds(2)
    assert (glanced.asked, glanced.state.swaps) == (2, 1)


def test_a_challenger_is_asked_for_in_each_round_because_its_share_is_a_tag(glanced: Glanced) -> None:
    glanced.challenger, glanced.aliases = version(2), {"champion": 1, "challenger": 2}
    glanced.rounds(3)
    assert glanced.asked == 4
    glanced.challenger, glanced.aliases = None, {"champion": 1}
    glanced.rounds(3)
    assert glanced.asked == 5  # once more, to take it away


def test_a_model_is_asked_for_in_full_again_after_a_minute(glanced: Glanced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_watcher, "_ASKED_EVERY_S", 0.0)
    glanced.rounds(2)
    assert glanced.asked == 3


def test_a_version_that_failed_is_tried_again_although_its_alias_stays(glanced: Glanced) -> None:
    glanced.champion, glanced.aliases = version(2), {"champion": 2}
    glanced.loading = MemoryError("too large just now")
    glanced.rounds(1)
    glanced.loading = None
    glanced.rounds(12)
    assert (glanced.state.failed_version, glanced.state.swaps) == (None, 1)
