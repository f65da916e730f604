"""The gate reads from the ledger what earlier releases have brought, up to the end of its turn's rows."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from everfit.tasks.core.records import Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.monitoring.triage_history import TRIAGE, JudgedWindow
from everfit.tasks.steps.gate import _earlier_releases
from everfit.tasks.triage import triage
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.history import History
from everfit.tasks.triage.quality_signals import PreviousSignal
from everfit.tasks.triage.signals import ChampionReference, DataSignal, DriftSignal, Signals

_END = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_look_that_ends_with_the_turn_counts_and_a_later_one_does_not(ledger: Ledger) -> None:
    def look(day: int, version: int) -> None:
        until = _END + timedelta(days=day)
        signals = Signals(
            model="m",
            window=Window(since=until - timedelta(days=1), until=until),
            reference=ChampionReference(version=version, id="r", released=_END, trained_until=_END),
            data=DataSignal(status="measured", rows=400),
            drift=DriftSignal(status="measured", drifted=False),
            previous=PreviousSignal(status="measured", version=version - 1, rows=400, gain=-0.01, p_value=0.75),
        )
        judged = JudgedWindow(signals=signals, decision=triage(signals, History(), TriagePolicy()))
        ledger.decisions.record(
            judged.decision.id, model="m", kind=TRIAGE, verdict="healthy", until=until, record=judged
        )

    for day, version in ((-1, 2), (0, 3), (1, 4)):
        look(day, version)
    context = SimpleNamespace(ledger=ledger, spec=SimpleNamespace(name="m"))
    turn: Any = SimpleNamespace(context=context, entry=SimpleNamespace(window=Window(until=_END)))

    assert [(one.version, one.gain, one.chance) for one in _earlier_releases(turn)] == [
        (2, 0.01, 0.25),
        (3, 0.01, 0.25),
    ]
