"""Releases on a real MLflow: promoted, rolled back, moved by hand, and shown to be served."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mlflow import MlflowClient
from support.releases import agree, aliased, promote

from everfit.blocks.errors import LedgerError, ModelError
from everfit.blocks.releasing import ReleasePolicy
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.registry import model_files, model_registry
from everfit.tasks.release.release import reconcile

MARCH = Window(until=datetime(2013, 3, 1, tzinfo=UTC))


# --- Promotion --------------------------------------------------------------------------------------------------------


def test_a_promotion_is_in_the_ledger_and_the_registry_and_the_challenger_is_one_no_more(
    ledger: Ledger, client: MlflowClient
) -> None:
    model_registry.set_alias(client, "flights", model_registry.CHALLENGER, 2)
    promote(ledger, client, 1)
    entry = promote(ledger, client, 2, reason="gains .02", actor="ann")

    assert (entry.seq, entry.version, entry.previous_version, entry.kind) == (2, 2, 1, "promotion")
    assert (entry.reason, entry.actor, entry.state, entry.snapshot_digest) == (
        "gains .02",
        "ann",
        "verified",
        "snapshot-2",
    )
    assert model_registry.challenger(client, "flights") is None
    agree(ledger, client, 2)


def test_what_was_decided_against_another_champion_is_not_released(ledger: Ledger, client: MlflowClient) -> None:
    promote(ledger, client, 1)
    promote(ledger, client, 2)

    with pytest.raises(LedgerError, match="lost the race"):
        promote(ledger, client, 3, expected_previous=1)
    agree(ledger, client, 2)


@pytest.mark.parametrize(
    ("version", "error", "says"),
    [(9, ModelError, "it has 1, 2, 3, 4"), (1, LedgerError, "is the champion of 'flights' since release 1")],
)
def test_what_can_not_be_released_changes_nothing(
    ledger: Ledger, client: MlflowClient, version: int, error: type[Exception], says: str
) -> None:
    promote(ledger, client, 1)

    with pytest.raises(error, match=says):
        promote(ledger, client, version)
    assert len(ledger.releases.of("flights")) == 1
    agree(ledger, client, 1)


def test_a_turn_that_is_run_again_gets_the_release_it_made(ledger: Ledger, client: MlflowClient) -> None:
    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        first = promote(ledger, client, 1, turn=turn)  # Killed here, the turn isn't settled.

    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        assert ledger.releases.of_turn(turn.id) == first
        assert promote(ledger, client, 1, turn=turn, expected_previous=None) == first
    assert ledger.story(turn.id).releases == (first,)


def test_a_promotion_that_is_served_is_verified_when_the_service_says_so(
    ledger: Ledger, client: MlflowClient, serve: Any
) -> None:
    requests = []

    def answer() -> dict[str, object]:
        requests.append(None)
        return {"version": 1 if len(requests) > 2 else None}  # It takes a moment to load.

    entry = promote(ledger, client, 1, policy=serve(answer))

    assert entry.state == "verified"
    assert len(requests) == 3


def test_a_promotion_that_is_not_served_is_taken_back(ledger: Ledger, client: MlflowClient, serve: Any) -> None:
    promote(ledger, client, 1)

    with pytest.raises(ModelError, match=r"serves version 1; the champion is version 1 again"):
        promote(ledger, client, 2, policy=serve(lambda: {"version": 1}))
    assert ledger.releases.of("flights")[1].state == "undone"
    agree(ledger, client, 1)


def test_a_first_promotion_that_is_not_served_leaves_no_champion(ledger: Ledger, client: MlflowClient) -> None:
    nowhere = ReleasePolicy(services=("http://127.0.0.1:9",), verify_timeout=timedelta(0))

    with pytest.raises(ModelError, match="does not answer"):
        promote(ledger, client, 1, policy=nowhere)
    assert (aliased(client), ledger.releases.current("flights")) == (None, None)


# --- By hand ----------------------------------------------------------------------------------------------------------


def test_an_alias_moved_by_hand_is_recorded_and_not_fought(ledger: Ledger, client: MlflowClient) -> None:
    promote(ledger, client, 1)
    client.set_registered_model_alias("flights", "champion", "3")

    assert reconcile(ledger, client, "flights") == [
        "recorded an outside release: the champion alias was moved from version 1 to version 3 outside of everfit"
    ]
    entry = ledger.releases.of("flights")[-1]
    assert (entry.kind, entry.actor, entry.previous_version) == ("outside", "unknown", 1)
    agree(ledger, client, 3)


def test_a_champion_from_before_everfit_is_taken_over(ledger: Ledger, client: MlflowClient) -> None:
    client.set_registered_model_alias("flights", "champion", "2")

    assert len(reconcile(ledger, client, "flights")) == 1
    agree(ledger, client, 2)


def test_a_promotion_follows_the_alias_first_and_so_loses(ledger: Ledger, client: MlflowClient) -> None:
    promote(ledger, client, 1)
    client.set_registered_model_alias("flights", "champion", "3")

    with pytest.raises(LedgerError, match="lost the race"):
        promote(ledger, client, 2)
    agree(ledger, client, 3)


def test_an_alias_deleted_by_hand_is_set_again(ledger: Ledger, client: MlflowClient) -> None:
    promote(ledger, client, 1)
    client.delete_registered_model_alias("flights", "champion")

    assert "was deleted outside of everfit" in reconcile(ledger, client, "flights")[0]
    assert ledger.releases.of("flights")[-1].kind == "outside"
    agree(ledger, client, 1)


def test_a_champion_deleted_by_hand_gives_way_to_the_one_before(ledger: Ledger, client: MlflowClient) -> None:
    for version in (1, 2, 3):
        promote(ledger, client, version)
    client.delete_model_version("flights", "3")
    client.delete_model_version("flights", "2")

    assert "version 3 was deleted" in reconcile(ledger, client, "flights")[0]
    agree(ledger, client, 1)


def test_when_all_champions_were_deleted_there_is_none_and_the_next_can_come(
    ledger: Ledger, client: MlflowClient
) -> None:
    promote(ledger, client, 1)
    client.delete_model_version("flights", "1")

    assert "no longer has a champion" in reconcile(ledger, client, "flights")[0]
    assert ledger.releases.current("flights") is None
    assert promote(ledger, client, 2).seq == 2
    agree(ledger, client, 2)


def test_a_release_that_was_broken_off_and_whose_version_is_gone_stands_in_nobodys_way(
    ledger: Ledger, client: MlflowClient
) -> None:
    promote(ledger, client, 1)
    _intend(ledger, client, 2)  # and the process dies before it sets the alias
    client.delete_model_version("flights", "2")

    assert "undid release 2 (version 2): the version was deleted" in reconcile(ledger, client, "flights")[0]
    agree(ledger, client, 1)
    assert promote(ledger, client, 3).seq == 3


def test_a_late_alias_of_an_undone_release_is_given_back_and_only_once(ledger: Ledger, client: MlflowClient) -> None:
    promote(ledger, client, 1)
    _intend(ledger, client, 2)  # and the process stalls while it sets the alias
    nowhere = ReleasePolicy(services=("http://127.0.0.1:9",), verify_timeout=timedelta(0))
    reconcile(ledger, client, "flights", policy=nowhere)
    agree(ledger, client, 1)
    client.set_registered_model_alias("flights", "champion", "2")  # it goes on

    done = reconcile(ledger, client, "flights")
    assert done[0].startswith("gave the champion alias back to version 1: the interrupted process of release 2")
    assert len(done) == 1
    agree(ledger, client, 1)
    assert [entry.kind for entry in ledger.releases.of("flights")] == ["promotion", "promotion"]
    assert "undone by the reconciler, after its alias had been set late" in ledger.releases.of("flights")[1].note

    client.set_registered_model_alias("flights", "champion", "2")  # now it is a person
    assert "outside of everfit" in reconcile(ledger, client, "flights")[0]
    agree(ledger, client, 2)


def test_a_version_that_was_undone_by_its_own_process_may_be_set_by_hand(ledger: Ledger, client: MlflowClient) -> None:
    promote(ledger, client, 1)
    nowhere = ReleasePolicy(services=("http://127.0.0.1:9",), verify_timeout=timedelta(0))
    with pytest.raises(ModelError, match="does not answer"):
        promote(ledger, client, 2, policy=nowhere)
    client.set_registered_model_alias("flights", "champion", "2")

    assert "outside of everfit" in reconcile(ledger, client, "flights")[0]
    agree(ledger, client, 2)


def _intend(ledger: Ledger, client: MlflowClient, version: int) -> None:
    with ledger.leases.hold("flights", scope="release") as lease:
        ledger.releases.intend(
            model_registry.model_version(client, "flights", version),
            expected_previous=1,
            previous_version=1,
            kind="promotion",
            reason="better",
            actor="gate",
            lease=lease,
        )


# --- Loading ----------------------------------------------------------------------------------------------------------


def test_a_version_says_what_it_was_trained_on(ledger: Ledger, client: MlflowClient) -> None:
    result = model_registry.model_version(client, "flights", 2)

    assert result.trained_until == datetime(2013, 2, 1, tzinfo=UTC)
    assert [name for name, _ in model_files.load(client, ledger, result).steps] == [
        "standardscaler",
        "logisticregression",
    ]


def test_a_probe_refuses_answers_that_are_not_finite_and_rows_that_do_not_fit(
    ledger: Ledger, client: MlflowClient
) -> None:
    import pandas as pd

    result = model_registry.model_version(client, "flights", 1)
    model_files.probe(client, ledger, result)
    with pytest.raises(ModelError, match="can't predict"):
        model_files.probe(client, ledger, result, pd.DataFrame({"z": [1.0]}))
