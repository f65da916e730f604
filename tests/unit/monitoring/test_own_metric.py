"""A user's own metric is monitored like one of everfit: measured, compared with the hold-out, lost in its direction."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from support.extensions import install

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.quality import RealisedQuality, realised
from everfit.tasks.triage.history import History
from everfit.tasks.triage.quality_loss import LossEvidence, realised_loss
from everfit.tasks.triage.signals import QualitySignal

CODE = """
def cost(y, scores): return float((y != (scores >= 0.5)).mean())
cost.greater_is_better = False
def raises(y, scores): raise RuntimeError("no prices")
"""
UNTIL = datetime(2024, 3, 8, tzinfo=UTC)


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "costs_of_shop", CODE)


def quality(wrong: float, seed: int = 0) -> RealisedQuality:
    """Of 2,000 rows, with a share of wrong predictions."""
    random = np.random.default_rng(seed)
    y = (random.uniform(size=2000) < 0.4).astype(float)
    flipped = random.uniform(size=2000) < wrong
    scores = np.where(flipped, 1 - y, y) * 0.8 + 0.1
    return realised(y, scores, "costs_of_shop:cost", draws=200)


def loss(live: RealisedQuality, holdout: RealisedQuality) -> LossEvidence:
    signal = QualitySignal(
        status="measured",
        metric=live.metric,
        window=Window(since=UNTIL - timedelta(days=7), until=UNTIL),
        rows=live.rows,
        value=live.value,
        standard_error=live.standard_error,
        chance=live.chance,
        baseline=holdout.baseline(),
    )
    again = QualitySignal.model_validate_json(signal.model_dump_json())
    result = realised_loss(again, History(), "v1", MonitoringPolicy(max_loss=0.1), false_alarm_windows=52)
    assert result is not None
    return result


def test_more_cost_is_a_loss_and_less_is_none():
    holdout = quality(0.1)
    assert holdout.baseline().scale is not None
    worse, better = loss(quality(0.3, 1), holdout), loss(quality(0.02, 2), holdout)
    assert worse.lost
    assert worse.loss > 0
    assert not better.lost
    assert better.loss < 0


def test_a_metric_of_everfit_has_no_scale_in_the_record():
    y, scores = np.tile([0.0, 1.0], 50), np.tile([0.2, 0.7], 50)
    assert "scale" not in realised(y, scores, "accuracy", draws=100).baseline().canonical_json()
