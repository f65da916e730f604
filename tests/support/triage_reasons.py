"""What may start a turn, or notify a person, beside a loss: as `triage_windows.py`."""

from datetime import timedelta
from typing import Any

from support.triage import SICK, SIX, attempt, fair, parity, past, signals, week

from everfit.tasks.triage.case import sign
from everfit.tasks.triage.early_signal import EarlySignal
from everfit.tasks.triage.history import History
from everfit.tasks.triage.quality_signals import QualitySignal
from everfit.tasks.triage.signals import CodeSignal, DataSignal, DriftSignal, LabelsSignal, Problem, Signals
from everfit.tasks.triage.user_signals import OwnSignal, UserMetricSignal

GAP = DataSignal(
    status="measured",
    rows=2_000,
    expected_rows=2_400,
    rhythm_weeks=14,
    gaps=(
        Problem(
            kind="gap",
            column="2024-01-29T10",
            summary="the prediction log: 12 rows on Monday 2024-01-29 10:00-16:00 UTC; between 280 and 520 were "
            "expected from 14 Mondays",
        ),
    ),
)


def early(value: float) -> EarlySignal:
    """The quality by labels that are known before the maturity."""
    facts: dict[str, Any] = {"metric": "roc_auc", "window": week(1), "rows": 500, "value": value, "least_known": 0.3}
    return EarlySignal(status="measured", standard_error=0.05, **facts)


SILENT = DataSignal(status="not_enough", rows=0, expected_rows=2_000, asked=True)
WAITS = attempt(
    -2,
    kind="new_data",
    signature=sign("new_rows"),
    loss=None,
    growth_to_show=1.5,
    waits=4,
    waits_against=3,
    judged_by=2_000,
)
"""A turn whose challenger, version 4, was kept for want of evidence."""

REASONS: dict[str, tuple[Signals, History, dict[str, Any], str, str]] = {
    "drift, and the spec retrains on it": (
        signals(2, drift=SIX),
        History(windows=(past(0), past(1, drifted=True))),
        {"on": "drift"},
        "retrain",
        "drift_retraining",
    ),
    "loss, and the spec retrains on nothing": (
        signals(quality=SICK),
        History(),
        {"on": "nothing"},
        "escalate",
        "realised_loss",
    ),
    "schedule is due": (signals(), History(), {"schedule": "56d"}, "retrain", "due_by_schedule"),
    "schedule is not due": (
        signals(),
        History(turns=(attempt(-3, signature=""),)),
        {"schedule": "56d"},
        "healthy",
        "healthy",
    ),
    "enough new rows": (signals(), History(), {"new_data": {"rows": 2_000}}, "retrain", "enough_new_data"),
    "enough new rows by share": (signals(), History(), {"new_data": {"share": 0.1}}, "retrain", "enough_new_data"),
    "not enough new rows": (signals(), History(), {"new_data": {"share": 0.2}}, "healthy", "healthy"),
    "a challenger waits, and has more rows to be judged by": (
        signals(labels=LabelsSignal(status="measured", new_rows=700, unseen_rows=3_700)),
        History(turns=(WAITS,)),
        {},
        "judge",
        "more_evidence",
    ),
    "a challenger waits, but too few rows came": (
        signals(labels=LabelsSignal(status="measured", new_rows=660, unseen_rows=3_660)),
        History(turns=(WAITS,)),
        {},
        "healthy",
        "healthy",
    ),
    "a challenger waits, and quality is lost": (
        signals(quality=SICK, labels=LabelsSignal(status="measured", new_rows=700, unseen_rows=3_700)),
        History(turns=(WAITS,)),
        {},
        "retrain",
        "realised_loss",
    ),
    "enough rows that the champion has not seen": (
        signals(labels=LabelsSignal(status="measured", new_rows=1_710, unseen_rows=3_210)),
        History(turns=(attempt(-2, signature=sign("new_rows"), kind="new_data", loss=None),)),
        {},
        "retrain",
        "enough_new_rows",
    ),
    "users are not satisfied": (
        signals(user_metrics=(UserMetricSignal(status="measured", metric="accepted", value=0.4),)),
        History(),
        {
            "user_metrics": [
                {"metric": "accepted", "at_least": 0.5, "source": {"kind": "files", "path": "x.csv"}, "time": "at"}
            ]
        },
        "retrain",
        "user_metric",
    ),
    "a signal of the user asks to retrain": (
        signals(own=(OwnSignal(status="measured", signal="stock", value=0.4, ok=False, action="retrain"),)),
        History(),
        {},
        "retrain",
        "signal_retraining",
    ),
    "a limit of fairness stays exceeded, and the spec asks to retrain": (
        signals(5, fairness=parity(0.12)),
        History(windows=(past(4, broken_limits=("fairness.parity_of_sex",), verdict="watch"),)),
        {"monitoring": fair("retrain")},
        "retrain",
        "broken_limit_retraining",
    ),
    "a limit of fairness stays exceeded": (
        signals(5, fairness=parity(0.12)),
        History(windows=(past(4, broken_limits=("fairness.parity_of_sex",), verdict="watch"),)),
        {"monitoring": fair()},
        "escalate",
        "broken_limit_escalation",
    ),
    "a limit of fairness is exceeded for the first time": (
        signals(5, fairness=parity(0.12)),
        History(),
        {"monitoring": fair()},
        "watch",
        "broken_limit",
    ),
    "a signal of the user asks for a person": (
        signals(own=(OwnSignal(status="measured", signal="stock", ok=False, reason="empty", action="escalate"),)),
        History(),
        {},
        "escalate",
        "signal_escalation",
    ),
    "a signal of the user is watched": (
        signals(own=(OwnSignal(status="measured", signal="stock", ok=False),)),
        History(),
        {},
        "watch",
        "uncertain",
    ),
    "a signal of the user is ok": (
        signals(own=(OwnSignal(status="measured", signal="stock", ok=True, action="retrain"),)),
        History(),
        {},
        "healthy",
        "healthy",
    ),
    "a signal of the user lacks rows": (
        signals(own=(OwnSignal(status="not_enough", signal="stock", reason="9 rows"),)),
        History(),
        {},
        "watch",
        "unmeasured",
    ),
    "a signal of the user raises": (
        signals(own=(OwnSignal(status="failed", signal="stock", reason="KeyError: 'stock'", action="retrain"),)),
        History(),
        {},
        "escalate",
        "failed_evidence",
    ),
    "the spec has changed": (
        signals(code=CodeSignal(status="measured", state="abc", changed=("features: + wind_gust",))),
        History(),
        {"code": True},
        "retrain",
        "changed_code",
    ),
    "the spec has changed, and was tried": (
        signals(code=CodeSignal(status="measured", state="abc", changed=("features: + wind_gust",))),
        History(turns=(attempt(-1, signature=sign("code", "abc")),)),
        {"code": True},
        "healthy",
        "healthy",
    ),
    "what the champion was trained with isn't known": (
        signals(code=CodeSignal(status="not_enough", state="abc", reason="its run doesn't say")),
        History(),
        {"code": True},
        "watch",
        "unmeasured",
    ),
    "feed is silent for longer than it ever was": (
        signals(data=SILENT.model_copy(update={"quiet": timedelta(days=4), "usual_quiet": timedelta(days=3)})),
        History(),
        {},
        "escalate",
        "silent_feed",
    ),
    "feed is silent as on each weekend": (
        signals(data=SILENT.model_copy(update={"quiet": timedelta(days=3), "usual_quiet": timedelta(days=3)})),
        History(),
        {},
        "watch",
        "unmeasured",
    ),
    "no row came where six were expected": (
        signals(data=SILENT.model_copy(update={"expected_rows": 6.0})),
        History(),
        {},
        "watch",
        "unmeasured",
    ),
    "early labels show a loss": (signals(early=early(0.6)), History(), {}, "watch", "uncertain"),
    "early labels show what may be chance": (signals(early=early(0.7)), History(), {}, "healthy", "healthy"),
    "half a Monday is missing": (signals(data=GAP), History(), {}, "escalate", "missing_rows"),
    "some hours of a month are missing": (
        signals(data=GAP.model_copy(update={"gaps": (GAP.gaps[0].model_copy(update={"share": 0.004}),)})),
        History(),
        {},
        "watch",
        "missing_rows",
    ),
    "half a Monday is missing, and enough rows came that the champion has not seen": (
        signals(data=GAP, labels=LabelsSignal(status="measured", new_rows=1_710, unseen_rows=3_210)),
        History(turns=(attempt(-2, signature=sign("new_rows"), kind="new_data", loss=None),)),
        {},
        "retrain",
        "enough_new_rows",
    ),
    "feed is silent against its rhythm": (
        signals(data=GAP.model_copy(update={"rows": 0, "status": "not_enough"})),
        History(),
        {},
        "escalate",
        "silent_feed",
    ),
    "no row came, as on each Sunday": (
        signals(data=SILENT.model_copy(update={"quiet": timedelta(days=9), "rhythm_weeks": 14})),
        History(),
        {},
        "watch",
        "unmeasured",
    ),
    "nothing asks the model yet": (
        signals(
            data=SILENT.model_copy(update={"asked": False}),
            drift=DriftSignal(status="not_enough"),
            quality=QualitySignal(status="not_enough"),
        ),
        History(),
        {},
        "watch",
        "unused",
    ),
}
