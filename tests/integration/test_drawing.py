"""The report is drawn by a process of its own, whose end is always told."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.drifting import drift_between
from support.evidently import break_evidently
from support.warm_popen import let_fork

from everfit.blocks.monitoring import MonitoringPolicy, ServiceHealthPolicy
from everfit.tasks.monitoring.report import report_process
from everfit.tasks.monitoring.report.drift_report import LARGEST, DriftReportError
from everfit.tasks.monitoring.report.packed_page import unpack_page
from everfit.tasks.monitoring.report.report_process import ReportJob

POLICY = MonitoringPolicy(report_rows=500, service_health=ServiceHealthPolicy(token="secret"))


@pytest.fixture(autouse=True)
def _forked_painters_and_none_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """To import Evidently takes longer than to draw; stories of a broken one start the program."""
    let_fork(monkeypatch, report_process)
    report_process.close()
    yield
    report_process.close()


def begin(policy: MonitoringPolicy = POLICY) -> ReportJob:
    sides = [pd.DataFrame(np.random.default_rng(seed).normal(size=(600, 2)), columns=["a", "b"]) for seed in (0, 1)]
    result = drift_between(*sides, ["a", "b"], policy)
    return ReportJob.begin(*sides, policy, columns=["a", "b"], result=result)


def test_one_process_draws_one_report_after_the_other_and_two_at_once_have_two() -> None:
    report_process.warm_up()
    first = begin()
    beside, warm = begin(), first.painter
    pages = [(each, each.wait()) for each in (first, beside)]
    again = begin()

    assert again.painter is warm is not None
    for each, html in pages:
        assert "Decided over all 600 rows" in unpack_page(html.read_text(encoding="utf-8"))
        assert html.stat().st_size < LARGEST / 3
        assert "secret" not in "".join(path.read_text() for path in html.parent.glob("*.json"))
        each.end()  # which does not end what draws for somebody else by now
        assert not html.parent.exists()
    assert again.wait().exists()
    again.end()


@pytest.mark.parametrize("base", ["Exception", "BaseException"])
def test_what_evidently_raises_is_the_reason(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_evidently(tmp_path, monkeypatch, base)
    broken = begin()

    with pytest.raises(DriftReportError, match="Broken: no such metric"):
        broken.wait()
    broken.end()


def test_what_can_not_be_handed_over_is_told_to_whoever_waits() -> None:
    mixed = pd.DataFrame({"a": [1, "one", b"1"]})
    strange = ReportJob.begin(mixed, mixed, POLICY, columns=["a"])

    with pytest.raises(DriftReportError, match="could not be begun: Arrow"):
        strange.wait()
    strange.end()


def test_a_process_that_dies_is_an_error() -> None:
    dying = begin()
    assert dying.painter is not None
    dying.painter._process.kill()

    with pytest.raises(DriftReportError, match="ended with code -9"):
        dying.wait()
    dying.end()


def test_one_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_process, "LONGEST", 0.0)
    slow = begin()
    assert slow.painter is not None

    with pytest.raises(DriftReportError, match="was not drawn within 0 s"):
        slow.wait()
    assert slow.painter._process.poll() is not None
    slow.end()
