"""The gate reads from the ledger what its comparisons with earlier champions tell about how gains hang together."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from support.gating import compared, measured

from everfit.tasks.core.paired_comparison import Autocorrelation
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.steps import gate

_END = datetime(2026, 1, 1, tzinfo=UTC)
_TOLD = Autocorrelation(grouped_by="days", groups=12, log_likelihoods=(0.0, *[-1.0] * 9))


def _decided(
    ledger: Ledger, day: int, champion: int, recorded: Autocorrelation | None, *, known: int | None = None
) -> None:
    until = _END + timedelta(days=day)
    evidence = measured(
        champion_version=champion,
        holdout=Window(since=until - timedelta(days=10), until=until),
        comparison=compared(autocorrelation=recorded),
    )
    ledger.decisions.record(
        f"{champion}-{day}",
        model="m",
        kind="gate",
        verdict="keep",
        until=_END + timedelta(days=day if known is None else known),
        record={"evidence": evidence.model_dump(mode="json")},
    )


def test_comparisons_before_the_champions_unseen_rows_count_as_far_as_they_were_known(ledger: Ledger) -> None:
    _decided(ledger, -60, 1, None)
    _decided(ledger, -40, 2, _TOLD)
    _decided(ledger, -39, 4, _TOLD, known=1)
    _decided(ledger, -5, 3, _TOLD)
    context = SimpleNamespace(ledger=ledger, spec=SimpleNamespace(name="m"))
    turn: Any = SimpleNamespace(context=context, entry=SimpleNamespace(window=Window(until=_END)))
    champion = ModelVersion(model="m", version=3, run_id="r", trained_until=_END - timedelta(days=30))

    found = gate._earlier_gains(turn, champion)

    assert [(one.champion, one.overall) for one in found] == [(2, _TOLD)]


def test_a_long_history_costs_no_more_than_a_short_one(ledger: Ledger, monkeypatch: Any) -> None:
    monkeypatch.setattr(gate, "_NEWEST", 2)
    for champion in (1, 2, 3):
        _decided(ledger, champion - 60, champion, _TOLD)
    context = SimpleNamespace(ledger=ledger, spec=SimpleNamespace(name="m"))
    turn: Any = SimpleNamespace(context=context, entry=SimpleNamespace(window=Window(until=_END)))
    champion = ModelVersion(model="m", version=4, run_id="r", trained_until=_END - timedelta(days=30))

    assert [one.champion for one in gate._earlier_gains(turn, champion)] == [2, 3]
