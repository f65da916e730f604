"""The gate's evidence of earlier champions tells how closely a model's gains hang together."""

from datetime import UTC, datetime, timedelta
from typing import Any

from support.gating import compared, measured

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.paired_comparison import WithinGroups
from everfit.tasks.gate import decide
from everfit.tasks.gate.earlier_gains import earlier_gains

_START = datetime(2026, 1, 1, tzinfo=UTC)
_LOGS = [0.0, *[-0.5] * 9]


def _gains(groups: int) -> dict[str, Any]:
    return {"grouped_by": "days", "groups": groups, "log_likelihoods": _LOGS}


def _evidence(champion: int | None, day: int, **comparison: Any) -> dict[str, Any]:
    until = _START + timedelta(days=day)
    holdout = {"since": (until - timedelta(days=9)).isoformat(), "until": until.isoformat()}
    return {"champion_version": champion, "holdout": holdout, "comparison": comparison or None}


def test_the_last_comparison_with_each_earlier_champion_counts() -> None:
    kept = [
        _evidence(None, 10),
        _evidence(1, 20, autocorrelation=_gains(10), autocorrelation_within=_gains(10)),
        _evidence(1, 30, autocorrelation=_gains(20)),
        _evidence(2, 40, autocorrelation=_gains(11)),
    ]
    found = earlier_gains(kept, _START + timedelta(days=40))
    assert [(one.champion, one.overall and one.overall.groups, one.within) for one in found] == [
        (1, 20, None),
        (2, 11, None),
    ]


def test_rows_of_the_present_comparison_never_count_twice() -> None:
    """Given a try on rows that the champion has not seen, then it tells nothing: the next try reads them again."""
    kept = [_evidence(1, 30, autocorrelation=_gains(20)), _evidence(2, 41, autocorrelation=_gains(11))]
    assert [one.champion for one in earlier_gains(kept, _START + timedelta(days=40))] == [1]


def test_evidence_of_an_earlier_everfit_tells_nothing() -> None:
    kept = [
        _evidence(1, 20, difference=0.01),
        _evidence(2, 30),
        _evidence(3, 40, autocorrelation={"lag": 1}),
        {},
    ]
    assert earlier_gains(kept, _START + timedelta(days=90)) == ()


def test_reason_and_sum_say_how_many_earlier_days_count() -> None:
    counts = {"standard_error": 0.01, "degrees_of_freedom": 25.0, "grouped_by": "days", "earlier_groups": 57}
    kept = decide(measured(comparison=compared(0.01, -0.01, **counts)), GatePolicy())
    assert "on 9,120 rows (its error counts 57 earlier days too); it must be above 0" in kept.reasons[0]
    figures = {figure.name: figure for figure in kept.figures}
    assert figures["standard error"].origin == (
        "delong; 57 days of earlier champions tell how closely days hang together"
    )


def test_a_proof_within_days_says_how_many_earlier_ones_count() -> None:
    within = WithinGroups(
        difference=0.001,
        standard_error=0.001,
        degrees_of_freedom=11.0,
        groups=12,
        grouped_by="days",
        earlier_groups=30,
    )
    unsure = compared(0.01, -0.01, standard_error=0.01, degrees_of_freedom=25.0, within=within)
    kept = decide(measured(comparison=unsure), GatePolicy())
    assert "(its error counts 30 earlier days too)" in kept.reasons[0]
    figures = {figure.name: figure for figure in kept.figures}
    assert figures["standard error"].origin == "delong"
    assert figures["standard error within groups"].origin == (
        "30 days of earlier champions tell how closely days hang together"
    )
