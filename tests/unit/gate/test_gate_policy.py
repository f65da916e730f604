"""What the gate's policy refuses, so that no gate is set up that nothing or everything would pass."""

from typing import Any

import pytest
from pydantic import ValidationError
from support.gating import FULL_POLICY

from everfit.blocks.gating import GatePolicy
from everfit.blocks.metrics import TaskKind
from everfit.blocks.spec import ModelSpec


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"minimum": {"roc_auc": 1.1}}, r"minimum.roc_auc: 1.1 is impossible; give a number from 0 to 1"),
        ({"minimum": {"rmse": -1}}, r"minimum.rmse: -1.0 is impossible; give a number from 0 to inf"),
        ({"minimum": {"auc": 0.5}}, r"'auc' is not a metric; known are roc_auc, "),
        ({"minimum": {"roc_auc": float("nan")}}, r"finite number"),
        ({"confidence": 0.5}, r"confidence\n  Input should be greater than 0.5"),
        ({"confidence": 1.0}, r"confidence\n  Input should be less than 1"),
        ({"confidence": 95}, r"less than 1"),
        ({"min_gain": -0.1}, r"min_gain\n  Input should be greater than or equal to 0"),
        ({"comparison": "non_inferiority"}, r"margin: it is missing under non_inferiority"),
        ({"margin": 0.01}, r"margin: 0.01 has no effect under superiority"),
        ({"comparison": "non_inferiority", "margin": 0.01, "min_gain": 0.1}, r"min_gain: 0.1 has no effect"),
        ({"draws": 50}, r"draws\n  Input should be greater than or equal to 100"),
        ({"fairness": {}}, r"fairness\n  Value error, it sets no limit"),
        ({"calibration": {}}, r"calibration\n  Value error, it sets no limit"),
        ({"negative_flips": {}}, r"negative_flips\n  Value error, it sets no limit"),
        ({"robustness": {"max_flip_share": 0}}, r"robustness.max_flip_share"),
        ({"slices": {"false_discovery_rate": 0}}, r"slices.false_discovery_rate"),
        ({"serving": {"p99": 5}}, r"serving.p99\n  Extra inputs are not permitted"),
        ({"approval_expires": "0d"}, r"approval_expires: a duration of 0 expires at once"),
        ({"approvall": "always"}, r"Extra inputs are not permitted"),
    ],
)
def test_a_gate_that_nothing_could_pass_is_refused(policy: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        GatePolicy.model_validate(policy)


@pytest.mark.parametrize(
    ("policy", "task", "metric", "says"),
    [
        ({"minimum": {"rmse": 3}}, "binary", "roc_auc", r"gate.minimum.rmse: 'rmse' is not a metric of 'binary'"),
        ({"min_gain": 1.0}, "binary", "roc_auc", r"gate.min_gain: 1.0 is as wide as the range of roc_auc"),
        ({"comparison": "non_inferiority", "margin": 2}, "binary", "roc_auc", r"gate.margin: 2.0 is as wide"),
        ({"slices": {"max_loss": 1}}, "binary", "roc_auc", r"gate.slices.max_loss: 1.0 is as wide"),
        ({"calibration": {"max_error": 0.1}}, "regression", "rmse", r"gate.calibration: it is not measured"),
        ({"negative_flips": {"max_share": 0.1}}, "regression", "rmse", r"gate.negative_flips: it is not measured"),
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
    ("gate", "words"),
    [
        ({"minimum": {"rmse": 3.0}}, "gate.minimum.rmse"),
        ({"min_gain": 1.0}, "gate.min_gain: 1.0 is as wide as the range of roc_auc"),
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
