"""Of two releases that were decided on the same champion one wins, and the ledger tells each step."""

from datetime import UTC, datetime

import pytest

from everfit.blocks.errors import BusyError, LedgerError
from everfit.tasks.core.records import ModelVersion, Trigger, Window
from everfit.tasks.ledger import Ledger

MARCH = Window(since=datetime(2013, 1, 1, tzinfo=UTC), until=datetime(2013, 3, 1, tzinfo=UTC))


def version(number: int) -> ModelVersion:
    return ModelVersion(
        model="flights", version=number, run_id=f"run-{number}", trained_until=MARCH.until, snapshot_digest=f"d{number}"
    )


def intend(ledger: Ledger, number: int, expected: int | None) -> None:
    with ledger.leases.hold("flights", scope="release") as lease:
        entry = ledger.releases.intend(
            version(number),
            expected_previous=expected,
            previous_version=None,
            kind="promotion",
            reason="",
            actor="gate",
            lease=lease,
        )
        entry = ledger.releases.advance(entry, "alias_set", lease=lease)
        ledger.releases.advance(entry, "verified", lease=lease)


def test_of_two_who_saw_the_same_champion_one_wins(ledger: Ledger) -> None:
    intend(ledger, 1, None)
    intend(ledger, 2, 1)

    with pytest.raises(LedgerError, match=r"version 3 of 'flights' lost the race: .* release 1 .* version 2"):
        intend(ledger, 3, 1)
    current = ledger.releases.current("flights")
    assert current is not None
    assert (current.seq, current.version, current.run_id, current.snapshot_digest) == (2, 2, "run-2", "d2")


def test_a_release_that_was_undone_leaves_its_number_and_not_its_champion(ledger: Ledger) -> None:
    intend(ledger, 1, None)
    with ledger.leases.hold("flights", scope="release") as lease:
        entry = ledger.releases.intend(
            version(2),
            expected_previous=1,
            previous_version=1,
            kind="promotion",
            reason="",
            actor="gate",
            lease=lease,
        )
        with pytest.raises(LedgerError, match="unfinished"):
            ledger.releases.record_outside(version(3), expected_previous=1, reason="", lease=lease)
        ledger.releases.advance(entry, "undone", lease=lease)
        with pytest.raises(LedgerError, match="is 'undone' and can't become 'alias_set'"):
            ledger.releases.advance(entry, "alias_set", lease=lease)
    intend(ledger, 3, 1)

    assert [(entry.seq, entry.state) for entry in ledger.releases.of("flights")] == [
        (1, "verified"),
        (2, "undone"),
        (3, "verified"),
    ]


def test_who_lost_the_release_lease_writes_no_release(ledger: Ledger) -> None:
    with ledger.leases.hold("flights", scope="release") as old:
        pass
    with pytest.raises(BusyError, match="no longer held"):
        ledger.releases.intend(
            version(1), expected_previous=None, previous_version=None, kind="promotion", reason="", actor="", lease=old
        )
    assert ledger.releases.of("flights") == []


def test_a_turn_that_was_taken_over_can_not_release(ledger: Ledger) -> None:
    with ledger.leases.hold("flights") as lease:
        old = ledger.turns.begin("flights", Trigger(), MARCH, lease=lease)
    with (
        ledger.leases.hold("flights"),
        ledger.leases.hold("flights", scope="release") as lease,
        pytest.raises(BusyError, match="turn lease"),
    ):
        ledger.releases.intend(
            version(1),
            expected_previous=None,
            previous_version=None,
            kind="promotion",
            reason="",
            actor="",
            lease=lease,
            turn=old,
        )
