"""A signal of the user: what it returns is validated, and what it does to its evidence changes nothing."""

import math
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from everfit.blocks.errors import DataError, EverfitError, ExtensionError, NotEnoughError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.blocks.signals import SignalPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.evidence import attempt
from everfit.tasks.monitoring.signals.own_signals import SignalResult, WindowEvidence, own_signal
from everfit.tasks.triage.user_signals import OwnSignal

WINDOW = Window(since=datetime(2024, 3, 1, tzinfo=UTC), until=datetime(2024, 3, 8, tzinfo=UTC))


def evidence() -> WindowEvidence:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    figures = MappingProxyType({"quality.value": 0.7})
    return WindowEvidence("sales", 3, WINDOW, WINDOW, frame, frame.copy(), frame.copy(), figures)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a module of the user with one function, and return its reference."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(body: str) -> str:
        name = f"signals_{abs(hash(body))}"
        (tmp_path / f"{name}.py").write_text(
            "from everfit.blocks.errors import NotEnoughError\n"
            "from everfit.tasks.monitoring.signals.own_signals import SignalResult\n"
            "import numpy as np\n"
            f"def stock(evidence):\n    {body}\n"
        )
        return f"{name}:stock"

    return write


@pytest.mark.parametrize(
    ("body", "bounds", "expected"),
    [
        ("return 0.4", {}, (0.4, True, "")),
        ("return 3", {"at_most": 2}, (3.0, False, "3 is not at most 2")),
        ("return 3", {"at_least": 2, "at_most": 4}, (3.0, True, "")),
        ("return 1", {"at_least": 2, "at_most": 4}, (1.0, False, "1 is not at least 2 and at most 4")),
        ("return False", {}, (None, False, "")),
        ("return np.True_", {}, (None, True, "")),
        ("return np.float32(0.5)", {"at_most": 0.6}, (0.5, True, "")),
        (
            "return SignalResult(value=9, reason='sold out')",
            {"at_most": 8},
            (9.0, False, "9 is not at most 8; sold out"),
        ),
        ("return SignalResult(ok=False, reason='sold out')", {}, (None, False, "sold out")),
        ("return SignalResult(value=9, ok=True)", {"at_most": 8}, (9.0, False, "9 is not at most 8")),
        ("return evidence.figures['quality.value']", {}, (0.7, True, "")),
        ("return evidence.predictions['x'].mean()", {}, (2.0, True, "")),
    ],
)
def test_a_number_a_bool_or_a_result_is_measured(module: Any, body: str, bounds: dict[str, Any], expected: Any) -> None:
    signal = own_signal(SignalPolicy(function=module(body), **bounds), evidence())

    assert (signal.status, signal.signal) == ("measured", "stock")
    assert (signal.value, signal.ok, signal.reason) == expected


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("return 'low'", DataError),
        ("return None", DataError),
        ("return np.nan", DataError),
        ("return SignalResult(value=float('inf'))", DataError),
        ("return SignalResult()", DataError),
        ("return np.array([1.0, 2.0])", DataError),
        ("raise SystemExit(0)", DataError),
        ("raise NotEnoughError('9 rows')", NotEnoughError),
        ("raise KeyError('stock')", KeyError),
    ],
)
def test_anything_else_is_no_good_news(module: Any, body: str, error: type[Exception]) -> None:
    policy = SignalPolicy(function=module(body))
    with pytest.raises(error):
        own_signal(policy, evidence())

    signal = attempt(lambda: own_signal(policy, evidence()), lambda **facts: OwnSignal(signal=policy.title, **facts))
    assert signal.status == ("not_enough" if error is NotEnoughError else "failed")
    assert not signal.measured


def test_a_function_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(ExtensionError, match="nowhere_at_all:stock"):
        own_signal(SignalPolicy(function="nowhere_at_all:stock"), evidence())
    assert issubclass(ExtensionError, EverfitError)


def test_the_figures_cannot_be_changed() -> None:
    given = evidence()
    with pytest.raises(TypeError):
        given.figures["quality.value"] = 1.0  # type: ignore[index]
    with pytest.raises(AttributeError):
        given.version = 9  # type: ignore[misc]


def test_a_bare_reference_is_a_signal_without_bounds() -> None:
    policy = MonitoringPolicy.model_validate({"signals": ["shop.signals:stock", {"function": "returns", "at_most": 1}]})
    assert [(signal.title, signal.action) for signal in policy.signals] == [("stock", "watch"), ("returns", "watch")]
    assert policy.signals[0].is_ok(math.pi)
    assert not policy.signals[1].is_ok(np.pi)


@pytest.mark.parametrize(
    ("signals", "error"),
    [
        (["shop.signals:stock", "other:stock"], "the name of two signals"),
        ([{"function": "shop.signals:stock", "at_least": 2, "at_most": 1}], "no value is within"),
        (["not a function"], "pattern"),
        ([{"function": "shop:stock", "action": "ignore"}], "'watch', 'escalate' or 'retrain'"),
    ],
)
def test_an_impossible_signal_is_refused(signals: Any, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        MonitoringPolicy.model_validate({"signals": signals})


def test_a_result_is_exported_for_users() -> None:
    assert SignalResult(value=1.0).ok is None
