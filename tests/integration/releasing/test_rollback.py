"""Rollbacks on a real MLflow: what they bring back, and what they leave alone."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from mlflow import MlflowClient
from support.releases import agree, aliased, promote

from everfit.blocks.errors import ArtifactError, LedgerError, ModelError
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.leases import Leases
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.artifact_records import read_digests
from everfit.tasks.release.release import reconcile, rollback

MARCH = Window(until=datetime(2013, 3, 1, tzinfo=UTC))


@pytest.fixture
def others_come_first(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Something is done by others between the next call and the lease that it waits for."""
    lease = Leases.hold

    def before(happens: Callable[[], Any]) -> None:
        def taken_late(*given: Any, **named: Any) -> Any:
            monkeypatch.setattr(Leases, "hold", lease)
            happens()
            return lease(*given, **named)

        monkeypatch.setattr(Leases, "hold", taken_late)

    return before


def test_a_rollback_brings_the_champion_before_and_its_reference_back(ledger: Ledger, client: MlflowClient) -> None:
    for version in (1, 2, 3):
        promote(ledger, client, version)
        client.update_model_version("flights", str(version), "# flights\n\nBetter.\n\n## Decision\n\n- Better.\n")

    entry = rollback(ledger, client, "flights", reason="complaints", actor="ann")
    assert (entry.kind, entry.version, entry.previous_version, entry.snapshot_digest) == (
        "rollback",
        2,
        3,
        "snapshot-2",
    )
    agree(ledger, client, 2)
    left, again = (client.get_model_version("flights", version).description for version in ("3", "2"))
    assert left.split("\n\n")[1] == f"Rolled back at {entry.at:%Y-%m-%d %H:%M} UTC by ann: complaints"
    assert again.endswith(f"- Champion again since {entry.at:%Y-%m-%d %H:%M} UTC, by ann: complaints\n")
    assert rollback(ledger, client, "flights", reason="still bad", actor="ann").version == 1
    with pytest.raises(LedgerError, match="no champion before version 1"):
        rollback(ledger, client, "flights", reason="and now", actor="ann")
    assert rollback(ledger, client, "flights", to=3, reason="it was the data", actor="ann").version == 3
    agree(ledger, client, 3)


@pytest.mark.parametrize(
    ("to", "error", "says"),
    [
        (9, ModelError, "no version 9; it has 1, 2, 3, 4"),
        (2, LedgerError, "version 2 is the champion of 'flights' since release 2"),
        (4, ModelError, "version 4 of 'flights' can't be loaded: it was saved as 'pickle'"),
    ],
)
def test_a_rollback_to_what_can_not_be_champion_changes_nothing(
    ledger: Ledger, client: MlflowClient, to: int, error: type[Exception], says: str
) -> None:
    promote(ledger, client, 1)
    promote(ledger, client, 2)

    with pytest.raises(error, match=says):
        rollback(ledger, client, "flights", to=to, reason="", actor="ann")
    assert len(ledger.releases.of("flights")) == 2
    agree(ledger, client, 2)


def test_a_rollback_does_not_wait_for_a_turn_and_that_turn_then_loses(ledger: Ledger, client: MlflowClient) -> None:
    promote(ledger, client, 1)
    promote(ledger, client, 2)
    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        seen = ledger.releases.current("flights")
        rollback(ledger, client, "flights", reason="complaints", actor="ann")

        assert seen is not None
        with pytest.raises(LedgerError, match="lost the race"):
            promote(ledger, client, 3, expected_previous=seen.seq, turn=turn)
    agree(ledger, client, 1)


@pytest.mark.parametrize("expected", [2, None])
def test_a_rollback_takes_nothing_back_that_came_while_it_waited(
    ledger: Ledger, client: MlflowClient, others_come_first: Any, expected: int | None
) -> None:
    promote(ledger, client, 1)
    promote(ledger, client, 2)
    others_come_first(lambda: promote(ledger, client, 3))

    with pytest.raises(LedgerError, match=r"champion of 'flights' is now version 3 \(release 3, by gate\)"):
        rollback(ledger, client, "flights", reason="complaints", actor="ann", expected_previous=expected)
    agree(ledger, client, 3)
    assert rollback(ledger, client, "flights", reason="complaints", actor="ann").version == 2  # asked anew, it is done


def test_a_release_that_a_crash_left_is_not_what_a_rollback_meant(ledger: Ledger, client: MlflowClient) -> None:
    promote(ledger, client, 1)
    promote(ledger, client, 2)
    with ledger.leases.hold("flights", scope="release") as lease:
        target = model_registry.model_version(client, "flights", 3)
        more: Any = {"kind": "promotion", "reason": "better", "actor": "gate", "lease": lease}
        ledger.releases.intend(target, expected_previous=2, previous_version=2, **more)

    with pytest.raises(LedgerError, match="is now version 3"):
        rollback(ledger, client, "flights", reason="complaints", actor="ann")
    agree(ledger, client, 3)


def test_who_names_the_version_gets_it_whatever_came(
    ledger: Ledger, client: MlflowClient, others_come_first: Any
) -> None:
    promote(ledger, client, 1)
    others_come_first(lambda: promote(ledger, client, 2))

    assert rollback(ledger, client, "flights", to=1, reason="complaints", actor="ann").version == 1


def test_an_alias_moved_by_hand_is_what_a_person_goes_back_from_and_triage_does_not(
    ledger: Ledger, client: MlflowClient
) -> None:
    promote(ledger, client, 1)
    promote(ledger, client, 2)
    client.set_registered_model_alias("flights", "champion", "3")

    with pytest.raises(LedgerError, match="is now version 3"):
        rollback(ledger, client, "flights", reason="lost", actor="triage", expected_previous=2)
    client.set_registered_model_alias("flights", "champion", "1")
    assert rollback(ledger, client, "flights", reason="complaints", actor="ann").version == 3


def test_a_rollback_that_is_not_served_yet_stays_and_is_verified_later(
    ledger: Ledger, client: MlflowClient, serve: Any
) -> None:
    promote(ledger, client, 1)
    promote(ledger, client, 2)
    served = {"version": 2}
    policy = serve(lambda: served)

    with pytest.raises(ModelError, match="serves version 2"):
        rollback(ledger, client, "flights", reason="complaints", actor="ann", policy=policy)
    assert aliased(client) == 1
    assert reconcile(ledger, client, "flights", policy=policy)[0].startswith("left release 3 (version 1) unverified")
    served["version"] = 1
    assert reconcile(ledger, client, "flights", policy=policy)[0].startswith("finished release 3")
    agree(ledger, client, 1)


def test_a_model_without_champion_is_not_rolled_back(ledger: Ledger, client: MlflowClient) -> None:
    with pytest.raises(LedgerError, match="has no champion to roll back"):
        rollback(ledger, client, "flights", reason="", actor="ann")
    with pytest.raises(LedgerError, match="has no champion to roll back"):
        rollback(ledger, client, "nothing", reason="", actor="ann")


@pytest.mark.parametrize("state", ["intent", "alias moved", "alias_set"])
@pytest.mark.parametrize("to", [None, 2])
def test_a_rollback_that_was_killed_is_finished_by_its_repetition_and_by_no_other(
    ledger: Ledger, client: MlflowClient, state: str, to: int | None
) -> None:
    for version in (1, 2, 3):
        promote(ledger, client, version)
    with ledger.leases.hold("flights", scope="release") as lease:
        more: Any = {"kind": "rollback", "reason": "complaints", "actor": "ann", "lease": lease}
        target = model_registry.model_version(client, "flights", 2)
        entry = ledger.releases.intend(target, expected_previous=3, previous_version=3, **more)
        if state != "intent":
            model_registry.set_alias(client, "flights", model_registry.CHAMPION, 2)
        if state == "alias_set":
            ledger.releases.advance(entry, "alias_set", lease=lease)

    finished = rollback(ledger, client, "flights", reason="complaints", actor="ann", to=to)

    assert (finished.seq, finished.version, finished.state) == (4, 2, "verified")
    assert len(ledger.releases.of("flights")) == 4
    agree(ledger, client, 2)
    # Another request is a rollback of its own.
    assert rollback(ledger, client, "flights", reason="still bad", actor="ann").version == 1


def test_another_request_rolls_an_interrupted_rollback_that_is_champion_back_further(
    ledger: Ledger, client: MlflowClient
) -> None:
    for version in (1, 2, 3):
        promote(ledger, client, version)
    with ledger.leases.hold("flights", scope="release") as lease:
        more: Any = {"kind": "rollback", "reason": "complaints", "actor": "ann", "lease": lease}
        target = model_registry.model_version(client, "flights", 2)
        entry = ledger.releases.intend(target, expected_previous=3, previous_version=3, **more)
        model_registry.set_alias(client, "flights", model_registry.CHAMPION, 2)
        ledger.releases.advance(entry, "alias_set", lease=lease)

    assert rollback(ledger, client, "flights", reason="version 2 is bad too", actor="bob").version == 1
    agree(ledger, client, 1)


def test_a_rollback_to_changed_files_changes_nothing(ledger: Ledger, client: MlflowClient) -> None:
    promote(ledger, client, 1)
    promote(ledger, client, 2)
    version = model_registry.model_version(client, "flights", 1)
    files = {**read_digests(client, version), "model/model.skops": "0" * 64}
    ledger.artifacts.record(version, files, actor="everfit", reason="registered")

    for attempt in (
        lambda: rollback(ledger, client, "flights", reason="complaints", actor="ann"),
        lambda: rollback(ledger, client, "flights", reason="complaints", actor="ann", to=1),
    ):
        with pytest.raises(ArtifactError, match=r"'model/model\.skops' has SHA-256"):
            attempt()
    assert len(ledger.releases.of("flights")) == 2
    agree(ledger, client, 2)


def test_a_release_of_changed_files_changes_nothing_also_if_it_was_interrupted(
    ledger: Ledger, client: MlflowClient
) -> None:
    promote(ledger, client, 1)
    version = model_registry.model_version(client, "flights", 2)
    files = {**read_digests(client, version), "model/model.skops": "0" * 64}
    ledger.artifacts.record(version, files, actor="everfit", reason="registered")

    with pytest.raises(ArtifactError):
        promote(ledger, client, 2)
    assert len(ledger.releases.of("flights")) == 1
    with ledger.leases.hold("flights", scope="release") as lease:
        more: Any = {"kind": "promotion", "reason": "better", "actor": "gate", "lease": lease}
        ledger.releases.intend(version, expected_previous=1, previous_version=1, **more)
    (done,) = reconcile(ledger, client, "flights")
    assert done.startswith("undid release 2 (version 2): the files of version 2")
    agree(ledger, client, 1)
