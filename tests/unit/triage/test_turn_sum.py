"""The sum of a decision can be checked by hand."""

import re

import pytest
from support.gating import compared, measured
from support.triage import SICK, decide, signals

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.figures import figure_table
from everfit.tasks.gate import decide as gate
from everfit.tasks.triage.history import History
from everfit.tasks.triage.signals import LabelsSignal
from everfit.tasks.triage.waiting import WaitingChallenger


def by_name(figures: object) -> dict[str, str]:
    return {figure.name: figure.value for figure in figures}  # type: ignore[attr-defined]


def test_expected_gain_and_cost_of_a_turn_follow_from_the_figures() -> None:
    costs = {"unit": "EUR", "value_per_metric_unit": 0.01, "cost_per_turn": 1_000}
    decision = decide(signals(quality=SICK), History(), cost_benefit=costs)
    assert decision.rule == "not_worth_it"
    figures = by_name(decision.figures)
    # 2,100 rows in a week are 27,000 in 90 days; a loss of .1 at .01 EUR a row is worth 27 EUR, and a turn costs 1,000.
    assert figures["rows to come"] == "27,000"
    assert figures["value of winning back the loss"] == "27 EUR"
    assert figures["cost of a turn"] == "1,000 EUR"
    assert decision.expected_gain is not None
    assert round(decision.expected_gain, 6) == 27.0


def test_the_next_try_follows_from_the_figures() -> None:
    decision = decide(signals(labels=LabelsSignal(status="measured", new_rows=399, unseen_rows=399)))
    figures = by_name(decision.figures)
    assert (figures["rows that the champion has not seen"], figures["needed for a try"]) == ("399", "400")


def test_the_lower_bound_of_the_gate_follows_from_the_figures() -> None:
    evidence = measured(comparison=compared(0.004, -0.002), attempt=2)
    figures = by_name(gate(evidence, GatePolicy()).figures)
    gain, error, quantile, lower = (
        float(figures[name]) for name in ("gain", "standard error", "quantile", "lower bound of the gain")
    )
    assert abs(gain - quantile * error - lower) < 1e-5
    origin = next(figure.origin for figure in gate(evidence, GatePolicy()).figures if figure.name == "allowed error")
    found = re.match(r"([\d.]+) / (\d+)\^([\d.]+) of ([\d.]+),", origin)
    assert found is not None, origin
    share, attempt, power, allowed = map(float, found.groups())
    assert float(figures["allowed error"]) == pytest.approx(share / attempt**power * allowed, rel=1e-3)
    assert figures["allowed error"] == "0.01218"
    assert figure_table(gate(evidence, GatePolicy()).figures)[2] == "| --- | --- | --- |"
    assert figure_table(()) == []


def test_a_waiting_challenger_is_judged_from_a_third_more_rows_on() -> None:
    assert WaitingChallenger(version=2, judged_by=300, more=100).due
    assert not WaitingChallenger(version=2, judged_by=300, more=99).due
