"""The gate: each check alone keeps the champion, nothing unknown passes, and chance rarely promotes.

The decisions in `golden/gate` are kept word for word. When they are to change, write them anew by
`REGENERATE_GOLDEN=1 pytest tests/unit/test_gate.py -k golden` and read the difference.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from everfit.blocks.gating import GatePolicy
from everfit.blocks.metrics import TaskKind
from everfit.blocks.spec import ModelSpec
from everfit.tasks.evidence.holdout import count_overlap, holdout_start_allowed
from everfit.tasks.gate import Evidence, GateDecision, decide
from everfit.tasks.gate import decision as gating
from everfit.tasks.gate.check import number
from everfit.tasks.gate.checks import CHECKS
from everfit.tasks.gate.evidence import (
    BusinessValueEvidence,
    CalibrationEvidence,
    FairnessEvidence,
    RobustnessEvidence,
    ServingEvidence,
    SliceEvidence,
)
from everfit.tasks.records import Window
from everfit.tasks.statistics.comparison import PairedComparison, compare

GOLDEN = Path(__file__).parent / "golden" / "gate"
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
        "business_value": {"min_gain": 0.1},
        "serving": {"p99_ms": 50, "size_mb": 100, "memory_mb": 500},
        "conversion": True,
    }
)


def _comparison(
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


def _evidence(**changes: Any) -> Evidence:
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
        "comparison": _comparison(),
        "dummy_comparison": _comparison(0.212, 0.2, champion=0.5),
        "expectations_passed": True,
        "suspected_leaks": (),
        "slices": (_slice("AA"), _slice("UA"), _slice("YV", rows=20, comparison=None)),
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
        "serving": ServingEvidence(loaded=True, same_predictions=True, p99_ms=20, size_mb=3, memory_mb=200),
        "conversion": CONVERTED,
    }
    return Evidence.model_validate(known | changes)


def _slice(value: str, rows: int = 1000, **fields: Any) -> SliceEvidence:
    return SliceEvidence.model_validate(
        {"column": "carrier", "value": value, "rows": rows, "comparison": _comparison(rows=rows)} | fields
    )


def _policy(**changes: Any) -> GatePolicy:
    return GatePolicy.model_validate(FULL_POLICY.model_dump() | changes)


def _failed(decision: GateDecision) -> set[str]:
    return {check.name for check in decision.failed}


def test_a_challenger_that_is_better_in_all_is_promoted() -> None:
    decision = decide(_evidence(), FULL_POLICY)
    assert (decision.verdict, decision.failed) == ("promote", ())
    assert decision.reasons[0] == (
        "Promoted challenger 5 over champion 3: roc_auc .712 against the champion's .697 on 9,120 rows; "
        "the gain of .015 is at least .009 with 95 % confidence"
    )


ROUTINE_LOSS = _comparison(-0.04, -0.06, worse=0.001, rows=1000)
FAIR = {"column": "sex", "demographic_parity_difference": 0.05, "equalized_odds_difference": 0.08}
FAIR |= {f"champion_{kind}": FAIR[kind] for kind in ("demographic_parity_difference", "equalized_odds_difference")}
CONVERTED = {"format": "onnx", "accepted": True, "difference": 2e-7, "loss": 0.0, "rows": 9120}
SERVED = {"loaded": True, "same_predictions": True, "p99_ms": 20, "size_mb": 3, "memory_mb": 200}

FAULTS: list[tuple[str, dict[str, Any]]] = [
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
            "comparison": _comparison(rows=199),
            "dummy_comparison": _comparison(rows=199),
        },
    ),
    ("hold-out size", {"comparison": _comparison(rarest_class_rows=19)}),
    ("dummy", {"dummy_comparison": _comparison(0.001, 0.0)}),
    ("dummy", {"dummy_comparison": _comparison(confidence=0.9)}),
    ("dummy", {"dummy_comparison": None}),
    ("comparison", {"comparison": _comparison(0.004, -0.002)}),
    ("comparison", {"comparison": _comparison(0.004, 0.0)}),
    ("comparison", {"comparison": _comparison(-0.1, -0.2)}),
    ("comparison", {"comparison": _comparison(0, 0, method="identical")}),
    ("comparison", {"comparison": _comparison(confidence=0.9)}),
    ("comparison", {"comparison": None}),
    ("slices", {"slices": (_slice("AA"), _slice("UA", comparison=ROUTINE_LOSS))}),
    ("slices", {"slices": (_slice("AA", comparison=None),)}),
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
    ("business value", {"business_value": BusinessValueEvidence(challenger=1.15, champion=1.1)}),
    ("business value", {"business_value": BusinessValueEvidence(challenger=1.15)}),
    ("business value", {"business_value": None}),
    ("serving", {"serving": SERVED | {"loaded": False, "problem": "no skops"}}),
    ("serving", {"serving": SERVED | {"same_predictions": False}}),
    ("serving", {"serving": None}),
    ("serving p99_ms", {"serving": SERVED | {"p99_ms": 51}}),
    ("serving size_mb", {"serving": SERVED | {"size_mb": 101}}),
    ("serving memory_mb", {"serving": SERVED | {"memory_mb": None}}),
    ("conversion", {"conversion": CONVERTED | {"accepted": False, "problem": "no converter"}}),
    ("conversion", {"conversion": None}),
]


@pytest.mark.parametrize(("check", "fault"), FAULTS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(FAULTS)])
def test_each_check_alone_keeps_the_champion(check: str, fault: dict[str, Any]) -> None:
    """So a check that is taken out of the gate is missed here: no other one stands in for it."""
    decision = decide(_evidence(**fault), FULL_POLICY)
    assert decision.verdict == "keep"
    assert _failed(decision) == {check}
    assert decision.reasons[0] == f"Kept champion 3: {decision.failed[0].reason}"


def test_every_check_of_the_gate_has_a_fault() -> None:
    named = {name.partition(" ")[0] for name, _ in FAULTS}
    made = {check.name.partition(" ")[0] for check in decide(_evidence(), FULL_POLICY).checks}
    assert made == named


def test_what_is_switched_off_is_not_asked_for() -> None:
    bare = _evidence(
        expectations_passed=None,
        suspected_leaks=None,
        dummy=None,
        dummy_comparison=None,
        slices=None,
        fairness=None,
        calibration=None,
        robustness=None,
        business_value=None,
        serving=None,
        conversion=None,
    )
    off = GatePolicy(expectations=False, leaks=False, dummy=False)
    decision = decide(bare, off)
    assert decision.verdict == "promote"
    assert [check.name for check in decision.checks] == ["unseen rows", "hold-out size", "comparison"]
    assert _failed(decide(bare, GatePolicy())) == {"expectations", "leaks", "dummy"}


def test_a_planted_overlap_is_refused() -> None:
    """Given 100 hold-out rows of which the champion has trained on 3, when judged, then they are found and counted."""
    holdout, trained = np.arange(1000, 1100), np.concatenate([np.arange(500), [1003, 1050, 1099]])
    overlap = count_overlap(holdout, np.arange(200, 1000), trained)
    assert overlap == 3
    decision = decide(_evidence(overlap_rows=overlap), FULL_POLICY)
    assert decision.verdict == "keep"
    assert "3 of the 9,120 hold-out rows were trained on" in decision.reasons[0]
    assert count_overlap(holdout, np.arange(1000)) == 0


def test_a_holdout_reaches_back_to_where_the_last_model_stopped_learning() -> None:
    early, late = datetime(2013, 2, 1, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC)
    assert holdout_start_allowed(early, late) == late
    assert holdout_start_allowed(None, early) == early
    assert holdout_start_allowed(None) is None


def _first(**changes: Any) -> Evidence:
    none = {"champion_version": None, "champion_trained_until": None, "champion": None, "comparison": None}
    return _evidence(**{**none, **changes})


def test_a_first_champion_must_beat_the_dummy() -> None:
    assert decide(_first(), FULL_POLICY).reasons[0] == (
        "Promoted challenger 5 as the first champion: roc_auc .712 against the dummy's .500 on 9,120 rows; "
        "the gain of .212 is at least .200 with 95 % confidence"
    )
    worse = decide(_first(dummy_comparison=_comparison(0.002, -0.001, champion=0.5)), FULL_POLICY)
    assert worse.verdict == "keep"
    assert worse.reasons[0] == (
        "Released nothing, so there is no champion yet: the challenger's roc_auc .502 against the dummy's .500: "
        "the 95 % lower bound of its gain is -.001; it must be above 0"
    )


def test_a_minimum_of_a_loss_is_the_most_it_may_be() -> None:
    against: dict[str, Any] = {"metric": "rmse", "rarest_class_rows": None, "challenger": 11.5, "champion": 15.0}
    loss = {
        "metric": "rmse",
        "greater_is_better": False,
        "dummy_comparison": _comparison(3.5, 3.1, **against),
        "challenger": {"rmse": 11.5},
        "slices": None,
    }
    assert decide(_first(**loss), GatePolicy(minimum={"rmse": 11.5})).verdict == "promote"
    assert decide(_first(**loss), GatePolicy(minimum={"rmse": 12})).reasons[0] == (
        "Promoted challenger 5 as the first champion: rmse 11.5 against the dummy's 15 on 9,120 rows; "
        "the gain of 3.5 is at least 3.1 with 95 % confidence"
    )
    kept = decide(_first(**loss), GatePolicy(minimum={"rmse": 11}))
    assert kept.reasons[0].endswith("the challenger's rmse is 11.5; it must be at most 11")


def test_no_worse_by_a_margin_is_enough_under_non_inferiority() -> None:
    policy = GatePolicy(comparison="non_inferiority", margin=0.005)
    assert decide(_evidence(comparison=_comparison(-0.001, -0.004)), policy).verdict == "promote"
    assert decide(_evidence(comparison=_comparison(0, 0, method="identical")), policy).verdict == "promote"
    kept = decide(_evidence(comparison=_comparison(0.001, -0.006)), policy)
    assert "lower bound of the gain is -.006 on 9,120 rows; it must be above -.005" in kept.reasons[0]


def test_a_gain_must_be_as_large_as_asked_for() -> None:
    assert decide(_evidence(), GatePolicy(min_gain=0.005)).verdict == "promote"
    assert _failed(decide(_evidence(), GatePolicy(min_gain=0.01))) == {"comparison"}


def test_the_person_on_call_reads_why() -> None:
    decision = decide(_evidence(comparison=_comparison(0.004, -0.002)), GatePolicy())
    assert decision.reasons[0] == (
        "Kept champion 3: the challenger's roc_auc .701 is .004 above the champion's .697, "
        "but the 95 % lower bound of the gain is -.002 on 9,120 rows; it must be above 0"
    )
    two = decide(_evidence(comparison=None, expectations_passed=False), GatePolicy())
    assert two.reasons == (
        "Kept champion 3: the data does not meet its expectations (and 1 more)",
        "how the challenger compares with champion 3 was not measured; what is not known does not pass",
    )


SMALL = {
    "holdout_rows": 90,
    "comparison": _comparison(0.004, -0.02, rows=90),
    "dummy_comparison": _comparison(rows=90),
}


def test_too_few_rows_keep_extend_or_ask() -> None:
    keep, extend, ask = (decide(_evidence(**SMALL), _policy(too_small=what)) for what in ("keep", "extend", "ask"))
    assert (keep.verdict, keep.extend_holdout) == ("keep", False)
    assert (extend.verdict, extend.extend_holdout) == ("keep", True)
    assert (ask.verdict, ask.extend_holdout) == ("needs_approval", False)
    assert "because gate.too_small is `ask`" in ask.reasons[0]
    assert "the hold-out has 90 rows; a comparison needs at least 200" in ask.reasons
    extended = decide(_evidence(**SMALL, holdout_extended=True), _policy(too_small="extend"))
    assert (extended.verdict, extended.extend_holdout) == ("keep", False)


def test_a_small_holdout_excuses_nothing_else() -> None:
    for what in ("extend", "ask"):
        decision = decide(_evidence(**SMALL, expectations_passed=False), _policy(too_small=what))
        assert (decision.verdict, decision.extend_holdout) == ("keep", False)


@pytest.mark.parametrize(
    ("changes", "first", "verdict", "level"),
    [
        ({"approval": "never", "risk": {"impact": "high", "probability": "high"}}, False, "promote", "high"),
        ({"approval": "always"}, False, "needs_approval", "low"),
        ({"approval": "on_risk"}, False, "promote", "low"),
        ({"approval": "on_risk", "risk": {"impact": "high"}}, False, "promote", "medium"),
        (
            {"approval": "on_risk", "risk": {"impact": "high", "approve_from": "medium"}},
            False,
            "needs_approval",
            "medium",
        ),
        ({"approval": "on_risk", "risk": {"impact": "high"}}, True, "needs_approval", "high"),
        ({"approval": "on_risk", "risk": {"impact": "high", "probability": "high"}}, True, "needs_approval", "high"),
    ],
)
def test_a_person_is_asked_as_the_policy_says(changes: dict[str, Any], first: bool, verdict: str, level: str) -> None:
    evidence = _first() if first else _evidence()
    decision = decide(evidence, _policy(**changes))
    assert (decision.verdict, decision.risk) == (verdict, level)


def test_nobody_is_asked_about_what_failed() -> None:
    assert decide(_evidence(suspected_leaks=("dep_delay",)), _policy(approval="always")).verdict == "keep"


def test_slices_are_corrected_for_how_many_there_are() -> None:
    """Given twenty slices of which one is worse at p = .04, then that is what chance gives; at p = .002 it is not."""
    others = tuple(_slice(f"C{i}", comparison=_comparison(rows=1000, worse=0.5)) for i in range(19))
    chance = _slice("B6", comparison=_comparison(-0.04, -0.06, worse=0.04, rows=1000))
    alarm = _slice("B6", comparison=_comparison(-0.04, -0.06, worse=0.002, rows=1000))
    assert decide(_evidence(slices=(*others, chance)), FULL_POLICY).verdict == "promote"
    kept = decide(_evidence(slices=(*others, alarm)), FULL_POLICY)
    assert _failed(kept) == {"slices"}
    assert "1 of 20 slices lose more than .010" in kept.reasons[0]
    assert "carrier = B6 (.040 worse on 1,000 rows)" in kept.reasons[0]


def test_a_sure_but_small_loss_of_a_slice_is_allowed() -> None:
    small = _slice("B6", comparison=_comparison(-0.009, -0.012, worse=0.0001, rows=1000))
    assert decide(_evidence(slices=(small,)), FULL_POLICY).verdict == "promote"


SMALL_SLICE = _slice("B6", rows=99, comparison=_comparison(-0.2, -0.3, worse=0.0001, rows=99))
ONE_CLASS = _slice("HA", rows=5000, other_class_rows=0, comparison=None)
RARE_CLASS = _slice("OO", rows=5000, other_class_rows=19, comparison=_comparison(-0.2, -0.3, worse=0.0001, rows=5000))


@pytest.mark.parametrize(
    ("few", "words"),
    [
        (SMALL_SLICE, "carrier = B6 has 99 of 100 rows"),
        (ONE_CLASS, "carrier = HA has 0 of 20 rows outside of its largest class"),
        (RARE_CLASS, "carrier = OO has 19 of 20 rows outside of its largest class"),
    ],
)
def test_a_slice_with_too_few_rows_to_judge_is_told_and_blocks_only_where_the_policy_says_so(
    few: SliceEvidence, words: str
) -> None:
    evidence = _evidence(slices=(_slice("AA"), few))

    told = decide(evidence, FULL_POLICY)
    assert told.verdict == "promote"
    (check,) = [check for check in told.checks if check.name == "slices"]
    assert f"none of 1 slices is clearly worse than with the champion (1 can't be judged: {words})" == check.reason

    asked = {"slices": FULL_POLICY.slices.model_dump() | {"too_few": "fail"}} if FULL_POLICY.slices else {}
    blocked = decide(evidence, _policy(**asked))
    assert _failed(blocked) == {"slices"}
    assert words in blocked.reasons[0]


def test_a_slice_with_just_enough_rows_of_a_class_is_judged() -> None:
    lost = {"other_class_rows": 20, "comparison": _comparison(-0.2, -0.3, worse=0.0001, rows=5000)}
    assert _failed(decide(_evidence(slices=(_slice("OO", rows=5000, **lost),)), FULL_POLICY)) == {"slices"}
    unknown = _slice("OO", rows=5000, other_class_rows=20, comparison=None)
    assert _failed(decide(_evidence(slices=(unknown,)), FULL_POLICY)) == {"slices"}


def test_a_model_that_can_not_be_converted_is_released_as_it_was_fitted_and_says_why() -> None:
    refused = CONVERTED | {"accepted": False, "problem": "no converter for it"}
    decision = decide(_evidence(conversion=refused), _policy(conversion=False))
    assert decision.verdict == "promote"
    assert decision.checks[-1].reason == (
        "the model could not be converted to onnx: no converter for it; it is released as it was fitted"
    )


UNKNOWABLE = [name for name, info in Evidence.model_fields.items() if info.default is None]


@pytest.mark.parametrize("field", [name for name in UNKNOWABLE if name != "champion_version"])
def test_knowing_less_never_promotes(field: str) -> None:
    """Given any evidence that keeps the champion, when one more thing is not known, then it is still kept.

    (Without a champion there is nothing to keep: that is another question, not less known of this one.)
    """
    for _, fault in FAULTS:
        evidence = _evidence(**fault)
        assert decide(evidence, FULL_POLICY).verdict == "keep"
        assert decide(evidence.model_copy(update={field: None}), FULL_POLICY).verdict == "keep"


def test_evidence_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValidationError, match="no evidence on 'roc_auc'"):
        _evidence(comparison=_comparison(metric="accuracy"))
    with pytest.raises(ValidationError, match="on 90 rows is not of the 9120 hold-out rows"):
        _evidence(comparison=_comparison(rows=90))
    with pytest.raises(ValidationError, match="needs champion_version"):
        _evidence(champion_version=None)


def _golden_cases() -> dict[str, tuple[Evidence, GatePolicy]]:
    return {
        "promote": (_evidence(), FULL_POLICY),
        "promote-first": (_first(), GatePolicy()),
        "keep-unsure": (_evidence(comparison=_comparison(0.004, -0.002)), GatePolicy()),
        "keep-many": (
            _evidence(overlap_rows=12, suspected_leaks=("arr_delay", "dep_time"), serving=None, calibration=None),
            FULL_POLICY,
        ),
        "keep-small": (_evidence(**SMALL), GatePolicy(too_small="extend")),
        "approval": (_evidence(), _policy(approval="on_risk", risk={"impact": "high", "approve_from": "medium"})),
        "non-inferior": (
            _evidence(comparison=_comparison(-0.001, -0.004)),
            GatePolicy(comparison="non_inferiority", margin=0.005),
        ),
    }


@pytest.mark.parametrize("name", _golden_cases())
def test_golden_decisions_stay_word_for_word(name: str) -> None:
    path = GOLDEN / f"{name}.json"
    if os.environ.get("REGENERATE_GOLDEN"):
        evidence, policy = _golden_cases()[name]
        records = {"evidence": evidence, "policy": policy, "decision": decide(evidence, policy)}
        dumped = {key: record.model_dump(mode="json") for key, record in records.items()}
        path.write_text(json.dumps(dumped, indent=2, ensure_ascii=False) + "\n")
    kept = json.loads(path.read_text())
    decision = decide(Evidence.model_validate(kept["evidence"]), GatePolicy.model_validate(kept["policy"]))
    assert decision.model_dump(mode="json") == kept["decision"]


def test_evidence_and_decision_survive_json() -> None:
    evidence = _evidence()
    decision = decide(evidence, FULL_POLICY)
    again = Evidence.model_validate_json(evidence.model_dump_json())
    assert again == evidence
    assert again.digest() == evidence.digest() == decision.evidence_digest
    assert GateDecision.model_validate_json(decision.canonical_json()) == decision
    assert decide(again, FULL_POLICY).id == decision.id
    assert decide(_evidence(holdout_digest="0ther"), FULL_POLICY).id != decision.id
    assert decide(evidence, _policy(confidence=0.9)).id != decision.id


PURE = """
import importlib.util, json, sys, types
blocks = types.ModuleType("everfit.blocks")  # the package itself brings the Prefect blocks; its modules don't need them
blocks.__path__ = importlib.util.find_spec("everfit.blocks").submodule_search_locations
sys.modules["everfit.blocks"] = blocks
sys.modules["prefect"] = None  # so that importing it fails
import everfit.tasks.gate as gate
from everfit.blocks.gating import GatePolicy
kept = json.load(open(sys.argv[1]))
decision = gate.decide(gate.Evidence.model_validate(kept["evidence"]), GatePolicy.model_validate(kept["policy"]))
heavy = {"mlflow", "pandas", "sklearn", "scipy", "evidently", "great_expectations"} & set(sys.modules)
print(json.dumps({"heavy": sorted(heavy), "id": decision.id}))
"""


def test_the_gate_imports_no_prefect_and_decides_the_same_in_another_process() -> None:
    path = GOLDEN / "promote.json"
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-c", PURE, str(path)]
    told = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert told == {"heavy": [], "id": json.loads(path.read_text())["decision"]["id"]}


# --- The gate under known truth ---------------------------------------------------------------------------------------


def _promoted(strength: float, rounds: int, policy: GatePolicy, rows: int = 400) -> float:
    """Share of rounds in which a challenger of a strength is promoted over a champion of strength 1."""
    promoted = 0
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        y = (rng.random(rows) < 0.3).astype(int)
        common = rng.normal(size=rows)

        def scores(
            signal: float,
            y: npt.NDArray[Any] = y,
            common: npt.NDArray[Any] = common,
            rng: np.random.Generator = rng,
        ) -> npt.NDArray[Any]:
            return 1 / (1 + np.exp(-(signal * y + 0.8 * common + 0.6 * rng.normal(size=y.size))))

        challenger, champion = scores(strength), scores(1.0)
        found = compare(y, challenger, champion, "roc_auc", confidence=policy.confidence)
        evidence = _evidence(
            holdout_rows=rows,
            challenger={"roc_auc": found.challenger},
            comparison=found,
            dummy_comparison=compare(y, challenger, np.full(rows, 0.3), "roc_auc"),
        )
        promoted += decide(evidence, policy).verdict == "promote"
    return promoted / rounds


def test_chance_rarely_promotes_and_a_better_challenger_often_is() -> None:
    """Given equal, better and worse challengers, 1,000 of each, then the gate errs as seldom as it says."""
    rounds, policy = 1000, GatePolicy()
    equal, slightly, better, worse = (_promoted(each, rounds, policy) for each in (1.0, 1.15, 1.5, 0.7))
    print(f"promoted: equal {equal:.1%}, +.03 AUC {slightly:.1%}, +.09 AUC {better:.1%}, -.07 AUC {worse:.1%}")
    assert equal <= 0.06
    assert worse <= 0.001
    assert equal < slightly < better
    assert better > 0.9


# --- What a policy refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"minimum": {"roc_auc": 1.1}}, r"minimum.roc_auc: 1.1 can't be reached; allowed: 0 to 1"),
        ({"minimum": {"rmse": -1}}, r"minimum.rmse: -1.0 can't be reached; allowed: 0 to inf"),
        ({"minimum": {"auc": 0.5}}, r"'auc' is not a metric; allowed: roc_auc, "),
        ({"minimum": {"roc_auc": float("nan")}}, r"finite number"),
        ({"confidence": 0.5}, r"confidence\n  Input should be greater than 0.5"),
        ({"confidence": 1.0}, r"confidence\n  Input should be less than 1"),
        ({"confidence": 95}, r"less than 1"),
        ({"min_gain": -0.1}, r"min_gain\n  Input should be greater than or equal to 0"),
        ({"comparison": "non_inferiority"}, r"margin: non_inferiority needs one"),
        ({"margin": 0.01}, r"margin: 0.01 is of no use under superiority"),
        ({"comparison": "non_inferiority", "margin": 0.01, "min_gain": 0.1}, r"min_gain: 0.1 is of no use"),
        ({"draws": 50}, r"draws\n  Input should be greater than or equal to 100"),
        ({"fairness": {}}, r"fairness\n  Value error, sets no limit"),
        ({"calibration": {}}, r"calibration\n  Value error, sets no limit"),
        ({"robustness": {"max_flip_share": 0}}, r"robustness.max_flip_share"),
        ({"slices": {"false_discovery_rate": 0}}, r"slices.false_discovery_rate"),
        ({"serving": {"p99": 5}}, r"serving.p99\n  Extra inputs are not permitted"),
        ({"approval_expires": "0d"}, r"approval_expires: a duration of 0 rejects at once"),
        ({"approvall": "always"}, r"Extra inputs are not permitted"),
    ],
)
def test_a_gate_that_nothing_could_pass_is_refused(policy: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        GatePolicy.model_validate(policy)


@pytest.mark.parametrize(
    ("policy", "task", "metric", "says"),
    [
        ({"minimum": {"rmse": 3}}, "binary", "roc_auc", r"gate.minimum.rmse: 'rmse' does not serve 'binary'"),
        ({"min_gain": 1.0}, "binary", "roc_auc", r"gate.min_gain: 1.0 is as wide as roc_auc itself"),
        ({"comparison": "non_inferiority", "margin": 2}, "binary", "roc_auc", r"gate.margin: 2.0 is as wide"),
        ({"slices": {"max_loss": 1}}, "binary", "roc_auc", r"gate.slices.max_loss: 1.0 is as wide"),
        ({"calibration": {"max_error": 0.1}}, "regression", "rmse", r"gate.calibration: not measured"),
    ],
)
def test_a_gate_is_refused_for_a_task_that_could_not_pass_it(
    policy: dict[str, Any], task: TaskKind, metric: str, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        GatePolicy.model_validate(policy).check(task, metric)


def test_a_policy_survives_json_and_fits_its_task() -> None:
    assert GatePolicy.model_validate_json(FULL_POLICY.model_dump_json()) == FULL_POLICY
    FULL_POLICY.check("binary", "roc_auc")
    GatePolicy(min_gain=5).check("regression", "rmse")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.69712, ".697"),
        (-0.002, "-.002"),
        (0.00021, ".00021"),
        (1e-9, "1e-09"),
        (12.34, "12.3"),
        (-123.4, "-123"),
        (12345.6, "12,346"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.9999, "1.000"),
        (1.0, "1"),
        (10.04, "10"),
        (None, "not measured"),
    ],
)
def test_numbers_are_as_short_as_they_can_be_read(value: float | None, written: str) -> None:
    assert number(value) == written


def test_the_gate_is_all_of_its_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given any one check taken out, then a fault that it alone finds is promoted: each of them is needed."""
    needed: set[Callable[..., Any]] = set()
    for taken in CHECKS:
        monkeypatch.setattr(gating, "CHECKS", tuple(check for check in CHECKS if check is not taken))
        if any(decide(_evidence(**fault), FULL_POLICY).verdict == "promote" for _, fault in FAULTS):
            needed.add(taken)
        monkeypatch.undo()
    assert needed == set(CHECKS)


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ({"minimum": {"rmse": 3.0}}, "gate.minimum.rmse"),
        ({"min_gain": 1.0}, "gate.min_gain: 1.0 is as wide as roc_auc itself"),
    ],
)
def test_a_spec_whose_gate_no_model_could_pass_is_refused(gate: dict[str, Any], words: str):
    spec = {
        "name": "flights",
        "task": "binary",
        "source": {"kind": "files", "path": "flights.csv"},
        "columns": {"key": ["id"], "event_time": "at", "target": "late"},
        "gate": gate,
    }
    with pytest.raises(ValueError, match=words):
        ModelSpec.model_validate(spec)
