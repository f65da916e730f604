"""A ledger of version 0.1 opens, and its turns and decisions read under today's names."""

import sqlite3
from pathlib import Path

import pytest

from everfit.tasks.ledger import Ledger
from everfit.tasks.release.approval import Approval
from everfit.tasks.release.traffic.trial import TrialLook

SQL = Path(__file__).with_name("ledger_0_1.sql")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger of version 0.1, opened."""
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(SQL.read_text(encoding="utf-8"))
    connection.close()
    assert Ledger.schema_of(f"sqlite:///{path}") == "older"
    return Ledger.open(f"sqlite:///{path}")


def test_a_person_s_no_becomes_declined_and_refused_data_stays(ledger: Ledger) -> None:
    states = [turn.state for turn in ledger.turns.of("flights")]

    assert states == ["Promoted", "Declined", "DataRejected", "Returned"]
    current = ledger.releases.current("flights")
    assert current is not None
    assert current.version == 1


def test_an_approval_reads_with_its_reason(ledger: Ledger) -> None:
    (decision,) = ledger.decisions.of("flights", kind="approval")

    approval = Approval.recall(decision.record)

    assert (decision.verdict, approval.outcome) == ("decline", "decline")
    assert (approval.by, approval.reason) == ("ann", "not before the holidays")
    assert approval.request.version == 2


def test_a_look_at_a_traffic_trial_keeps_its_evidence(ledger: Ledger) -> None:
    (decision,) = ledger.decisions.of("flights", kind="trial")

    look = TrialLook.recall(decision.record)

    assert look.superseded
    assert look.evidence is not None
    assert look.evidence.steps[0].no_quality_reason == "no labels yet"
