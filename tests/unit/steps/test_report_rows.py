"""What Evidently is given to draw: rows in the order of time, and nothing where there is nothing to compare."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.steps import triage

ROWS = pd.DataFrame({"at": pd.to_datetime(["2024-03-02", "2024-03-01", "2024-03-03"], utc=True), "x": [2.0, 1.0, 3.0]})


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was to be drawn."""
    given: list[Any] = []
    begin = SimpleNamespace(begin=lambda *sides, **_: given.append(sides) or "a drawing")
    monkeypatch.setattr(triage, "ReportJob", begin)
    return given


def begin(policy: MonitoringPolicy, *, drifted: bool | None = False) -> Any:
    spec = SimpleNamespace(monitoring=policy, columns=SimpleNamespace(time="at"))
    profile = SimpleNamespace(columns=[SimpleNamespace(name="x", kind="numeric")])
    monitored = SimpleNamespace(
        context=SimpleNamespace(spec=spec),
        reference=SimpleNamespace(profile=profile, sample=ROWS),
        event_time="at",
        texts=(),
    )
    window: Any = SimpleNamespace(
        monitored=monitored,
        live=SimpleNamespace(sample=ROWS),
        column_drift=SimpleNamespace(drifted=drifted),
        draws_report=policy.report != "never",
    )
    return triage.begin_report.fn(window)


def test_rows_are_drawn_in_the_order_of_time(drawn: list[Any]) -> None:
    assert begin(MonitoringPolicy()) == "a drawing"

    before, now, _ = drawn[0]
    assert list(before["x"]) == list(now["x"]) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(("report", "drifted"), [("never", False), ("always", None)])
def test_nothing_is_drawn_where_none_is_wanted_or_nothing_was_compared(
    drawn: list[Any], report: Any, drifted: bool | None
) -> None:
    assert begin(MonitoringPolicy(report=report), drifted=drifted) is None
    assert drawn == []
