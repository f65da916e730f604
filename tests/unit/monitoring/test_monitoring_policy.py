"""What a person may write about monitoring, and what it means for a column."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from everfit.blocks.monitoring import MonitoringPolicy


def test_every_field_has_a_default_and_a_description() -> None:
    assert MonitoringPolicy().window == timedelta(days=7)
    assert all(field.description for field in MonitoringPolicy.model_fields.values())


def test_a_column_has_its_own_method_and_threshold_or_those_of_its_kind() -> None:
    policy = MonitoringPolicy.model_validate({"columns": {"price": {"method": "tvd"}, "fare": {"threshold": 0.3}}})
    assert (policy.method("price", "numeric"), policy.threshold("price", "numeric")) == ("tvd", 0.1)
    assert (policy.method("fare", "numeric"), policy.threshold("fare", "numeric")) == ("psi", 0.3)
    assert (policy.method("letter", "categorical"), policy.ignored("letter")) == ("jensenshannon", False)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({"persistence": 4}, "impossible among 3"),
        ({"window": "0d"}, "empty or negative"),
        ({"window": "a week"}, "is not a duration"),
        ({"numeric_method": "ks"}, "psi"),
        ({"treshold": 0.2}, "Extra inputs"),
        ({"data_quality": {"missing_jump": 2}}, "less than or equal to 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(written: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        MonitoringPolicy.model_validate(written)
