"""What a challenger is compared with when its turn is run again."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from everfit.tasks.core.records import ModelVersion, Trigger, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.steps.incumbent import _release_before

MARCH = Window(until=datetime(2024, 3, 1, tzinfo=UTC))


def test_a_turn_that_has_released_already_is_compared_with_the_champion_before_seen_to_be_served_or_not(
    ledger: Ledger,
) -> None:
    """Given a rollback that no service was seen to follow, and then a turn that was killed once it had released."""
    here: Any = SimpleNamespace(ledger=ledger, spec=SimpleNamespace(name="flights"))

    def make(version: int, kind: Any, *states: Any, turn: Any = None) -> None:
        current = ledger.releases.current("flights")
        with ledger.leases.hold("flights", scope="release") as lease:
            entry = ledger.releases.intend(
                ModelVersion(model="flights", version=version, run_id="", trained_until=MARCH.until),
                expected_previous=current.seq if current else None,
                previous_version=current.version if current else None,
                kind=kind,
                reason="",
                actor="",
                lease=lease,
                turn=turn,
            )
            for state in states:
                entry = ledger.releases.advance(entry, state, lease=lease)

    make(1, "promotion", "alias_set", "verified")
    make(2, "promotion", "alias_set", "verified")
    make(3, "promotion", "alias_set", "undone")
    make(1, "rollback", "alias_set")
    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        before = _release_before(here, turn)
        make(4, "promotion", "alias_set", turn=turn)

        assert before is not None
        assert (before.version, before.kind) == (1, "rollback")
        assert _release_before(here, turn) == before
        ledger.turns.finish(turn, state="Promoted")
