"""What has changed since the champion was trained; what isn't known is told, and never taken for no change."""

from datetime import UTC, datetime

import pytest
from support.training import a_spec

from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Turn
from everfit.tasks.monitoring.signals.code_change import code_signal

SPEC = a_spec(retraining={"code": True})
TURN = Turn(
    id="turn",
    model="small",
    seq=1,
    trigger=Trigger(),
    window=Window(until=datetime(2024, 3, 1, tzinfo=UTC)),
    state="Promoted",
    spec_digest=SPEC.digest(),
    started_at=datetime(2024, 3, 1, tzinfo=UTC),
)
OTHER = TURN.model_copy(update={"spec_digest": "another"})
PACKAGES = '{"numpy": "2"}'


@pytest.mark.parametrize(
    ("turn", "trained_with", "status", "changed", "told"),
    [
        (TURN, PACKAGES, "measured", 0, ""),
        (OTHER, PACKAGES, "measured", 1, ""),
        (TURN, '{"numpy": "1"}', "measured", 1, ""),
        (OTHER, '{"numpy": "1"}', "measured", 2, ""),
        (TURN, None, "not_enough", 0, "package versions"),
        (OTHER, None, "measured", 1, "package versions"),
        (None, PACKAGES, "not_enough", 0, "no turn of this ledger"),
        (None, None, "not_enough", 0, "no turn of this ledger"),
    ],
)
def test_each_change_is_told_and_what_is_not_known_is_no_change_and_no_news(
    turn: Turn | None, trained_with: str | None, status: str, changed: int, told: str
) -> None:
    result = code_signal(SPEC, turn, PACKAGES, trained_with)

    assert (result.status, len(result.changed)) == (status, changed)
    assert told in result.reason
    assert bool(told) == bool(result.reason)


@pytest.mark.parametrize(
    ("own", "trained_own", "changed", "told"),
    [
        ({"shop": "a"}, {"shop": "a", "commit of shop": "1"}, 0, ""),
        ({"shop": "b"}, {"shop": "a"}, 1, ""),
        ({"shop": "a"}, None, 0, "digest of your own code"),
        ({}, None, 0, ""),
        ({"flows/mine.py": "missing"}, {"flows/mine.py": "a"}, 0, "is not here"),
        ({"flows/mine.py": "missing", "shop": "b"}, {"flows/mine.py": "a", "shop": "a"}, 1, "is not here"),
    ],
)
def test_changed_own_code_counts(
    own: dict[str, str], trained_own: dict[str, str] | None, changed: int, told: str
) -> None:
    result = code_signal(SPEC, TURN, PACKAGES, PACKAGES, own, trained_own)
    assert len(result.changed) == changed
    assert told in result.reason
