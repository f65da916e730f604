"""The releases that live rows have judged are read from the evidence of the looks."""

from datetime import UTC, datetime, timedelta

from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.judged_releases import judged_releases
from everfit.tasks.triage.quality_signals import PreviousSignal
from everfit.tasks.triage.signals import ChampionReference, DataSignal, DriftSignal, Signals

_START = datetime(2026, 1, 1, tzinfo=UTC)


def _look(day: int, version: int, previous: PreviousSignal) -> Signals:
    return Signals(
        model="m",
        window=Window(since=_START + timedelta(days=day), until=_START + timedelta(days=day + 1)),
        reference=ChampionReference(version=version, id="r", released=_START, trained_until=_START),
        data=DataSignal(status="measured", rows=400),
        drift=DriftSignal(status="measured", drifted=False),
        previous=previous,
    )


def _judged(version: int, gain: float, p_value: float) -> PreviousSignal:
    return PreviousSignal(status="measured", version=version, rows=400, gain=gain, p_value=p_value)


def test_each_release_counts_once_by_its_first_rows_and_a_rollback_not_at_all() -> None:
    looks = [
        _look(0, 1, PreviousSignal()),
        _look(1, 2, PreviousSignal(status="not_enough", version=1)),
        _look(2, 2, _judged(1, -0.04, 0.75)),
        _look(3, 2, _judged(1, 0.01, 0.25)),
        _look(4, 5, _judged(2, 0.02, 0.0)),
        _look(5, 2, _judged(5, -0.02, 1.0)),
    ]

    releases = judged_releases(looks)

    assert [(one.version, one.gain, one.chance) for one in releases] == [(2, 0.04, 0.25), (5, -0.02, 1.0)]
