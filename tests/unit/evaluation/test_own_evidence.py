"""Evidence of a user's own metric, and of a new check."""

from importlib import import_module
from pathlib import Path

import pytest
from support.evaluating import evidence_of
from support.training import a_spec

from everfit.blocks.gating import GatePolicy
from everfit.tasks import evaluation
from everfit.tasks.evaluation import evaluate as evaluating
from everfit.tasks.gate import decide
from everfit.tasks.gate.check import GateCheck
from everfit.tasks.gate.checks import CHECKS
from everfit.tasks.gate.evidence import Evidence

OWN_METRICS = """
def profit(y, scores):
    acted = scores >= 0.5
    return float(10 * (acted & (y == 1)).sum() - 3 * (acted & (y == 0)).sum()) / len(y)

def raises(y, scores):
    raise RuntimeError("the price list is gone")
"""


def test_an_own_metric_is_primary_and_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "prices_of_gate.py").write_text(OWN_METRICS)
    name = "prices_of_gate:profit"
    found = evidence_of(tmp_path, training={"metric": name}, gate={"minimum": {name: 0.1, "roc_auc": 0.5}})

    assert found.metric == name
    assert found.own_metrics[name].greater_is_better
    assert found.comparison is not None
    assert found.comparison.challenger == found.challenger[name]
    assert found.comparison.rarest_class_rows is not None
    decision = decide(Evidence.model_validate_json(found.model_dump_json()), a_spec().gate)
    assert decision.id == decide(found, a_spec().gate).id
    (least,) = [check for check in decide(found, GatePolicy(minimum={name: 99.0})).failed if "minimum" in check.name]
    assert least.reason.endswith("it must be at least 99")


def test_an_own_metric_that_raises_is_failed_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "prices_of_none.py").write_text(OWN_METRICS)
    found = evidence_of(tmp_path, training={"metric": "prices_of_none:raises"})

    assert found.challenger[found.metric] is None
    assert found.comparison is found.dummy_comparison is None
    decision = decide(found, a_spec().gate)
    assert decision.verdict == "keep"
    cause = "metric 'prices_of_none:raises' failed with RuntimeError: the price list is gone"
    reasons = {check.name: check.reason for check in decision.failed}
    assert cause in reasons["dummy"]
    assert cause in reasons["comparison"]


NIGHTS = """
from everfit.tasks.core.records import Record

class NightEvidence(Record):
    rows: int

def measure(measurement):
    return NightEvidence(rows=len(measurement.scored.subset(measurement.scored.rows["at"].dt.hour < 6).truth))
"""


def test_the_evidence_of_a_new_check_is_measured_by_the_module_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CONTRIBUTING's recipe for a gate check has it: a module for the check and one for what it reads."""
    (tmp_path / "night_loss.py").write_text(NIGHTS)
    monkeypatch.setattr(evaluation, "__path__", [*evaluation.__path__, str(tmp_path)])
    night = GateCheck(name="night loss", place=5, summary="", policy=None, judge=lambda *_: iter(()), measured=True)
    monkeypatch.setattr(evaluating, "CHECKS", (*CHECKS, night))
    found = Evidence.model_validate_json(evidence_of(tmp_path).model_dump_json())

    kind = import_module("everfit.tasks.evaluation.night_loss").NightEvidence
    area = found.area("night_loss", kind)
    assert isinstance(area, kind)
    assert 0 < area.rows < found.holdout_rows
    assert found.area("day_loss", kind) is None
