"""A look whose retraining failed ends as a failure, for the command too."""

from types import SimpleNamespace
from typing import Any

import pytest

from everfit.tasks.steps import monitoring_states


def test_the_result_of_a_look_names_the_turn_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = SimpleNamespace(id="m-1", state="failed", error="no space left", settled=False)
    ledger: Any = SimpleNamespace(turns=SimpleNamespace(find=lambda _: turn))
    monitored: Any = SimpleNamespace(context=SimpleNamespace(ledger=ledger))
    signals: Any = SimpleNamespace(failures=list)
    decision: Any = SimpleNamespace(verdict="retrain", reasons=("it drifts",))
    call: Any = SimpleNamespace(turn_id="m-1")
    monkeypatch.setattr(monitoring_states.monitoring_report, "window_json", lambda *_, **__: {"failed": []})
    monkeypatch.setattr(monitoring_states, "ended", lambda state: state)

    state = monitoring_states.monitoring_state(monitored, signals, decision, call, "run")

    assert state.is_failed()
    assert state.data["failed"] == ["turn m-1 failed: no space left"]
