"""Who may do what: the roles of a spec, and names that somebody has checked or not."""

import pytest

from everfit.blocks.roles import RolesPolicy
from everfit.tasks.core.people import Person, RoleError, check_role

ANN, KNOWN = Person(name="Ann"), Person(name="x", account="ann")


def test_without_names_everybody_may() -> None:
    check_role("m", RolesPolicy(approve=("bob",), logged_in=True), "forget", ANN)


def test_a_name_counts_whatever_its_case_and_an_account_before_the_name() -> None:
    for person in (ANN, KNOWN):
        check_role("m", RolesPolicy(roll_back=("ANN",)), "roll_back", person)
    with pytest.raises(RoleError, match=r"ann \(logged in to MLflow as eve\) may not roll back for 'm': .* names ann"):
        check_role("m", RolesPolicy(roll_back=("ann",)), "roll_back", Person(name="ann", account="eve"))


def test_a_stated_name_is_refused_where_a_login_is_wanted() -> None:
    roles = RolesPolicy(train=("ann",), logged_in=True)

    check_role("m", roles, "train", KNOWN)
    with pytest.raises(RoleError, match=r"the name 'Ann' is only stated, .* set MLFLOW_TRACKING_USERNAME"):
        check_role("m", roles, "train", ANN)
