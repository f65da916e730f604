"""Evidence of a challenger with which all is well, what may be wrong with it, and a policy that asks for everything."""

from datetime import UTC, datetime, timedelta
from typing import Any

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.core.records import Window
from everfit.tasks.gate import Check, Evidence, GateDecision
from everfit.tasks.gate.evidence import (
    BusinessValueEvidence,
    CalibrationEvidence,
    FairnessEvidence,
    RobustnessEvidence,
    ServingEvidence,
    SliceEvidence,
)

SINCE = datetime(2013, 3, 18, tzinfo=UTC)
HOLDOUT = Window(since=SINCE, until=datetime(2013, 4, 1, tzinfo=UTC))

FULL_POLICY = GatePolicy.model_validate(
    {
        "minimum": {"roc_auc": 0.65, "log_loss": 0.6},
        "slices": {"columns": ["carrier"], "min_rows": 100, "max_loss": 0.01},
        "fairness": {
            "max_demographic_parity_difference": 0.1,
            "max_equalized_odds_difference": 0.15,
            "max_worsening": 0.02,
        },
        "calibration": {"max_error": 0.05, "max_worsening": 0.01},
        "robustness": {"max_flip_share": 0.05},
        "negative_flips": {"max_share": 0.03, "max_slice_share": 0.05},
        "forgetting": {"max_loss": 0.01},
        "replay": {"max_changed": 0.1, "max_loss": 0.01},
        "business_value": {"min_gain": 0.1},
        "serving": {"p99_ms": 50, "size_mb": 100, "memory_mb": 500, "requests_per_second": 100},
        "conversion": True,
        "checks": ["nights"],
    }
)


def compared(
    difference: float = 0.015, lower: float = 0.009, *, champion: float = 0.697, worse: float = 0.999, **fields: Any
) -> PairedComparison:
    known = {
        "metric": "roc_auc",
        "rows": 9120,
        "rarest_class_rows": 1850,
        "challenger": round(champion + difference, 6),
        "champion": champion,
        "difference": difference,
        "lower": lower,
        "upper": round(2 * difference - lower, 6),
        "p_value": round(1 - worse, 6),
        "p_value_worse": worse,
        "confidence": 0.95,
        "method": "delong",
    }
    return PairedComparison.model_validate(known | fields)


def measured(**changes: Any) -> Evidence:
    """All is measured, and all is well; apart from what a test changes."""
    known = {
        "model": "flight-delays",
        "metric": "roc_auc",
        "greater_is_better": True,
        "holdout": HOLDOUT,
        "holdout_rows": 9120,
        "holdout_digest": "5eed",
        "overlap_rows": 0,
        "challenger_version": 5,
        "challenger_trained_until": SINCE,
        "champion_version": 3,
        "champion_trained_until": datetime(2013, 3, 1, tzinfo=UTC),
        "challenger": {"roc_auc": 0.712, "log_loss": 0.5},
        "champion": {"roc_auc": 0.697, "log_loss": 0.51},
        "dummy": {"roc_auc": 0.5, "log_loss": 0.6},
        "comparison": compared(),
        "dummy_comparison": compared(0.212, 0.2, champion=0.5),
        "expectations_passed": True,
        "suspected_leaks": (),
        "slices": (a_slice("AA"), a_slice("UA"), a_slice("YV", rows=20, comparison=None)),
        "fairness": (
            FairnessEvidence(
                column="sex",
                demographic_parity_difference=0.05,
                equalized_odds_difference=0.08,
                champion_demographic_parity_difference=0.04,
                champion_equalized_odds_difference=0.09,
            ),
        ),
        "calibration": CalibrationEvidence(challenger=0.02, champion=0.03),
        "robustness": RobustnessEvidence(flip_share=0.01, perturbation="noise on distance"),
        "business_value": BusinessValueEvidence(challenger=1.3, champion=1.1, unit="€"),
        "serving": ServingEvidence(
            loaded=True, same_predictions=True, p99_ms=20, size_mb=3, memory_mb=200, requests_per_second=900
        ),
        "conversion": CONVERTED,
        "own_checks": (Check(name="nights", passed=True, reason="no loss at night"),),
        "areas": areas(),
    }
    return Evidence.model_validate(known | changes)


def some_flips(negative: int = 91, of_a_slice: int = 30, slices: int = 2) -> dict[str, Any]:
    of_slices = [
        {"column": "carrier", "value": value, "rows": 1000, "negative": number}
        for value, number in (("AA", 10), ("UA", of_a_slice))
    ]
    return {"rows": 9120, "negative": negative, "positive": 140, "slices": of_slices[:slices]}


def some_past(**comparison: Any) -> dict[str, Any]:
    """Three stretches of the past, the second of which may be another."""
    compared_with = [compared(0.002, -0.01, worse=0.6, rows=300).model_dump(mode="json") for _ in range(3)]
    compared_with[1] |= comparison
    windows = [Window(since=datetime(2013, month, 1, tzinfo=UTC), until=HOLDOUT.until) for month in (1, 2, 3)]
    stretches = [
        {"window": window.model_dump(mode="json"), "rows": 300, "comparison": paired}
        for window, paired in zip(windows, compared_with, strict=True)
    ]
    return {"stretches": stretches}


def a_replay(**changes: Any) -> dict[str, Any]:
    known = {"window": HOLDOUT.model_dump(mode="json"), "rows": 900, "changed": 0.04, "mean_change": 0.02}
    known |= {"large_change": 0.1, "labelled": 400}
    return {**known, "comparison": compared(rows=400).model_dump(mode="json"), **changes}


def areas(**changes: Any) -> dict[str, Any]:
    """The evidence that has no field of its own, apart from what a test changes; without what is None."""
    known = {"negative_flips": some_flips(), "forgetting": some_past(), "replay": a_replay()}
    return {name: content for name, content in (known | changes).items() if content is not None}


def a_slice(value: str, rows: int = 1000, **fields: Any) -> SliceEvidence:
    return SliceEvidence.model_validate(
        {"column": "carrier", "value": value, "rows": rows, "comparison": compared(rows=rows)} | fields
    )


def a_policy(**changes: Any) -> GatePolicy:
    return GatePolicy.model_validate(FULL_POLICY.model_dump() | changes)


def failed(decision: GateDecision) -> set[str]:
    return {check.name for check in decision.failed}


def first_champion(**changes: Any) -> Evidence:
    none = {"champion_version": None, "champion_trained_until": None, "champion": None, "comparison": None}
    return measured(**{**none, **changes})


ROUTINE_LOSS = compared(-0.04, -0.06, worse=0.001, rows=1000)
FAIR = {"column": "sex", "demographic_parity_difference": 0.05, "equalized_odds_difference": 0.08}
FAIR |= {f"champion_{kind}": FAIR[kind] for kind in ("demographic_parity_difference", "equalized_odds_difference")}
FORGOTTEN = {"difference": -0.03, "lower": -0.05, "upper": -0.01, "p_value": 0.999, "p_value_worse": 0.001}
CONVERTED = {"format": "onnx", "accepted": True, "difference": 2e-7, "loss": 0.0, "rows": 9120}
SERVED = {"loaded": True, "same_predictions": True, "p99_ms": 20, "size_mb": 3, "memory_mb": 200}
SERVED |= {"requests_per_second": 900}

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("nights", {"own_checks": (Check(name="nights", passed=False, reason="a loss at night"),)}),
    ("nights", {"own_checks": ()}),
    ("unseen rows", {"overlap_rows": 1}),
    ("unseen rows", {"overlap_rows": None}),
    ("unseen rows", {"champion_trained_until": HOLDOUT.until}),
    ("unseen rows", {"champion_trained_until": None}),
    ("unseen rows", {"challenger_trained_until": None}),
    ("unseen rows", {"challenger_trained_until": SINCE + timedelta(seconds=1)}),
    ("unseen rows", {"holdout": Window(until=HOLDOUT.until)}),
    ("expectations", {"expectations_passed": False}),
    ("expectations", {"expectations_passed": None}),
    ("leaks", {"suspected_leaks": ("arr_delay",)}),
    ("leaks", {"suspected_leaks": None}),
    ("minimum roc_auc", {"challenger": {"roc_auc": 0.64, "log_loss": 0.5}}),
    ("minimum log_loss", {"challenger": {"roc_auc": 0.712, "log_loss": 0.61}}),
    ("minimum log_loss", {"challenger": {"roc_auc": 0.712}}),
    ("minimum log_loss", {"challenger": {"roc_auc": 0.712, "log_loss": float("nan")}}),
    ("minimum log_loss", {"challenger": {"roc_auc": 0.712, "log_loss": float("-inf")}}),
    (
        "hold-out size",
        {
            "holdout_rows": 199,
            "comparison": compared(rows=199),
            "dummy_comparison": compared(rows=199),
        },
    ),
    ("hold-out size", {"comparison": compared(rarest_class_rows=19)}),
    ("dummy", {"dummy_comparison": compared(0.001, 0.0)}),
    ("dummy", {"dummy_comparison": compared(confidence=0.9)}),
    ("dummy", {"dummy_comparison": None}),
    ("comparison", {"comparison": compared(0.004, -0.002)}),
    ("comparison", {"comparison": compared(0.004, 0.0)}),
    ("comparison", {"comparison": compared(-0.1, -0.2)}),
    ("comparison", {"comparison": compared(0, 0, method="identical")}),
    ("comparison", {"comparison": compared(confidence=0.9)}),
    ("comparison", {"comparison": None}),
    ("slices", {"slices": (a_slice("AA"), a_slice("UA", comparison=ROUTINE_LOSS))}),
    ("slices", {"slices": (a_slice("AA", comparison=None),)}),
    ("slices", {"slices": None}),
    (
        "fairness sex demographic_parity_difference",
        {"fairness": [FAIR | {"demographic_parity_difference": 0.11, "champion_demographic_parity_difference": 0.11}]},
    ),
    (
        "fairness sex equalized_odds_difference",
        {"fairness": [FAIR | {"equalized_odds_difference": 0.16, "champion_equalized_odds_difference": 0.16}]},
    ),
    (
        "fairness sex equalized_odds_difference worsening",
        {"fairness": [FAIR | {"champion_equalized_odds_difference": 0.05}]},
    ),
    (
        "fairness sex equalized_odds_difference worsening",
        {"fairness": [FAIR | {"champion_equalized_odds_difference": None}]},
    ),
    ("fairness", {"fairness": None}),
    ("fairness", {"fairness": ()}),
    ("calibration", {"calibration": CalibrationEvidence(challenger=0.06, champion=0.06)}),
    ("calibration worsening", {"calibration": CalibrationEvidence(challenger=0.04, champion=0.02)}),
    ("calibration worsening", {"calibration": CalibrationEvidence(challenger=0.04)}),
    ("robustness", {"robustness": RobustnessEvidence(flip_share=0.06)}),
    ("robustness", {"robustness": None}),
    ("robustness", {"robustness": RobustnessEvidence(flip_share=float("nan"))}),
    ("negative flips", {"areas": areas(negative_flips=some_flips(negative=274))}),
    ("negative flips", {"areas": areas(negative_flips=None)}),
    ("negative flips by slice", {"areas": areas(negative_flips=some_flips(of_a_slice=51))}),
    ("negative flips by slice", {"areas": areas(negative_flips=some_flips(slices=0))}),
    ("forgetting", {"areas": areas(forgetting=some_past(**FORGOTTEN))}),
    ("forgetting", {"areas": areas(forgetting=None)}),
    ("forgetting", {"areas": areas(forgetting={"stretches": []})}),
    ("replay", {"areas": areas(replay=None)}),
    ("replay changed", {"areas": areas(replay=a_replay(changed=0.11))}),
    ("replay loss", {"areas": areas(replay=a_replay(comparison=None))}),
    (
        "replay loss",
        {"areas": areas(replay=a_replay(comparison=compared(-0.05, -0.06, rows=400).model_dump(mode="json")))},
    ),
    ("business value", {"business_value": BusinessValueEvidence(challenger=1.15, champion=1.1)}),
    ("business value", {"business_value": BusinessValueEvidence(challenger=1.15)}),
    ("business value", {"business_value": None}),
    ("serving", {"serving": SERVED | {"loaded": False, "problem": "no skops"}}),
    ("serving", {"serving": SERVED | {"same_predictions": False}}),
    ("serving", {"serving": None}),
    ("serving p99_ms", {"serving": SERVED | {"p99_ms": 51}}),
    ("serving requests_per_second", {"serving": SERVED | {"requests_per_second": 99}}),
    ("serving requests_per_second", {"serving": SERVED | {"requests_per_second": None, "capacity_problem": "ended"}}),
    ("serving size_mb", {"serving": SERVED | {"size_mb": 101}}),
    ("serving memory_mb", {"serving": SERVED | {"memory_mb": None}}),
    ("conversion", {"conversion": CONVERTED | {"accepted": False, "problem": "no converter"}}),
    ("conversion", {"conversion": None}),
]

SMALL = {
    "holdout_rows": 90,
    "comparison": compared(0.004, -0.02, rows=90),
    "dummy_comparison": compared(rows=90),
}
