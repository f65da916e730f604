"""The evidence area `own`: signals that functions of the user measure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.extensions import SIGNALS_GROUP
from everfit.blocks.signals import SignalPolicy
from everfit.tasks.core.extensions import load_extension
from everfit.tasks.core.records import Record, Window
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.predictions.prediction_log import MODEL_VERSION
from everfit.tasks.triage.signals import Signals
from everfit.tasks.triage.user_signals import OwnSignal


@dataclass(frozen=True)
class WindowEvidence:
    """The frozen evidence of a window, which a signal of the user measures.

    The frames are copies: a signal that changes them changes nothing else.

    Attributes:
        model: The model's name.
        version: The champion's version.
        window: The monitored span of event time.
        labelled_window: The span whose labels are mature.
        predictions: A sample of the champion's answers in the window, shape (rows, columns): its features, `_key`, the
            event time, `_prediction`, and `_score` where there is one.
        labelled: The champion's answers with mature labels, shape (rows, columns): `_prediction`, `_score` and
            `_label` (as text), and the event time.
        reference: A sample of the champion's hold-out, shape (rows, columns): features, target, `_prediction`.
        figures: The numbers of everfit's own evidence areas, such as `quality.value` or `drift.share`.
    """

    model: str
    version: int
    window: Window
    labelled_window: Window
    predictions: pd.DataFrame
    labelled: pd.DataFrame
    reference: pd.DataFrame
    figures: Mapping[str, float]

    @classmethod
    def of(cls, window: MonitoredWindow, signals: Signals) -> "WindowEvidence":
        """Copy the evidence of a window.

        Args:
            window: The window.
            signals: everfit's own evidence areas.
        """
        monitored, mature = window.monitored, window.mature_answers
        return cls(
            model=monitored.context.spec.name,
            version=monitored.champion.version,
            window=window.live.window,
            labelled_window=monitored.labelled_window,
            predictions=_answers_of(window.live.sample, monitored.champion.version),
            labelled=pd.DataFrame() if mature is None else mature.with_labels().rows.copy(),
            reference=monitored.reference.sample.copy(),
            figures=MappingProxyType(signals.numbers()),
        )


class SignalResult(Record):
    """The result of a signal of the user, if a bare number or bool does not say enough.

    Attributes:
        value: The measured number.
        ok: Whether it is as it should be; by default whether the value is within the spec's bounds.
        reason: One sentence for the person on call.
    """

    value: float | None = None
    ok: bool | None = None
    reason: str = ""


def own_signal(policy: SignalPolicy, evidence: WindowEvidence) -> OwnSignal:
    """Run a function of the user on a window.

    Args:
        policy: The function, its bounds and its action.
        evidence: The window.

    Returns:
        The measured signal. A value out of the spec's bounds is never ok, whatever the function says.

    Raises:
        ExtensionError: the function cannot be loaded.
        NotEnoughError: the function needs more rows; raise it to say so.
        DataError: the function returns something else than a finite number, a bool or a `SignalResult`, or exits.
    """
    function = load_extension(policy.function, SIGNALS_GROUP)
    try:
        returned = function(evidence)
    except SystemExit as error:
        raise DataError(f"the signal {policy.title!r} ended the process ({error}); let it return or raise") from error
    result = signal_result(returned, policy.title)
    within = result.value is None or policy.is_ok(result.value)
    if result.value is None and result.ok is None:
        raise DataError(f"the signal {policy.title!r} returned neither a value nor ok; return one of them")
    bounds = "" if within or result.value is None else f"{result.value:.4g} is not {policy.bounds()}"
    return OwnSignal(
        status="measured",
        signal=policy.title,
        value=result.value,
        ok=within and result.ok is not False,
        action=policy.action,
        reason="; ".join(part for part in (bounds, result.reason) if part),
    )


def signal_result(returned: Any, name: str) -> SignalResult:
    """Validate what a signal's function has returned.

    Args:
        returned: A finite number, a bool or a `SignalResult`.
        name: The signal's name, for the error.

    Raises:
        DataError: it is something else.
    """
    if isinstance(returned, SignalResult):
        result = returned
    elif hasattr(returned, "dtype") and getattr(returned, "shape", None) == ():  # a NumPy scalar
        return signal_result(returned.item(), name)
    elif isinstance(returned, bool):
        result = SignalResult(ok=returned)
    elif isinstance(returned, int | float):
        result = SignalResult(value=float(returned))
    else:
        raise DataError(
            f"the signal {name!r} returned {returned!r:.100} of type {type(returned).__name__}; "
            "return a number, true or false, or a SignalResult"
        )
    if result.value is not None and not math.isfinite(result.value):
        raise DataError(
            f"the signal {name!r} returned {result.value!r}; return a finite number, or raise NotEnoughError"
        )
    return result


def _answers_of(sample: pd.DataFrame, version: int) -> pd.DataFrame:
    """Return a copy of the rows that a version answered."""
    return (sample[sample[MODEL_VERSION] == version] if MODEL_VERSION in sample else sample).copy()
