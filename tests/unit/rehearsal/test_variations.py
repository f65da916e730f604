"""The variations that a rehearsal compares by default."""

import pytest
from support.deliveries import SPEC

from everfit.blocks.spec import ModelSpec
from everfit.tasks.rehearsal.patches import patched
from everfit.tasks.rehearsal.variations import variations

ALL, EASY, HALF = "training on all of history", "a less certain gain is enough", "half the loss calls a turn"


def names(**changes: object) -> list[str]:
    return [name for name, _ in variations(ModelSpec.model_validate({**SPEC, **changes}))]


def test_each_variation_changes_one_thing_of_the_spec() -> None:
    spec = ModelSpec.model_validate(SPEC)
    found = {name: patched(spec, patch, name) for name, patch in variations(spec)}
    assert list(found) == [ALL, EASY, HALF]
    assert found[ALL].training.window == "all"
    assert found[EASY].gate.confidence == 0.8
    assert found[HALF].monitoring.max_loss == pytest.approx(spec.monitoring.max_loss / 2)


def test_a_variation_that_is_the_spec_is_left_out() -> None:
    assert ALL not in names(training={**SPEC["training"], "window": "all"})  # type: ignore[dict-item]
    best = {**SPEC["training"], "window": "best", "windows": ["60d", "90d"]}  # type: ignore[dict-item]
    assert ALL in names(training=best)
    assert EASY in names(gate={"comparison": "non_inferiority", "margin": 0.01})
    assert EASY not in names(gate={"confidence": 0.8})
