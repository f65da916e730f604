"""The roles that names of columns suggest."""

import pytest

from everfit.deployments.init.names import is_named_as_protected


@pytest.mark.parametrize("name", ["age", "AgeGroup", "customer age", "Gender", "applicant_age"])
def test_a_group_of_people_is_protected(name: str) -> None:
    assert is_named_as_protected(name)


@pytest.mark.parametrize("name", ["car_age", "HouseAge", "age_of_car", "account age", "average", "stage"])
def test_the_age_of_a_thing_is_not(name: str) -> None:
    assert not is_named_as_protected(name)
