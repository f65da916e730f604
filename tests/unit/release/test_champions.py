"""Which champion to go back to, and which to keep."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from everfit.blocks.releasing import ReleasePolicy
from everfit.tasks.ledger import Release
from everfit.tasks.release.champions import succession, versions_to_keep

START = datetime(2013, 1, 1, tzinfo=UTC)


def history(*entries: str) -> list[Release]:
    """`3` promotes version 3, `r3` rolls back to it, `o3` was set outside, `u3` was undone; one a day."""
    kinds = {"r": "rollback", "o": "outside"}
    return [
        Release.model_validate(
            {
                "model": "flights",
                "seq": day + 1,
                "version": int(entry.lstrip("rou")),
                "kind": kinds.get(entry[0], "promotion"),
                "state": "undone" if entry[0] == "u" else "verified",
                "at": START + timedelta(days=day),
            }
        )
        for day, entry in enumerate(entries)
    ]


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        ([], []),
        (["1", "2", "3"], [1, 2, 3]),
        (["1", "2", "r1"], [1]),
        (["1", "2", "3", "r2"], [1, 2]),
        (["1", "2", "3", "r1", "4"], [1, 4]),
        (["1", "2", "u3"], [1, 2]),
        (["1", "o2", "3"], [1, 2, 3]),
        (["1", "2", "r7"], [1, 2, 7]),
        (["1", "2", "o1"], [2, 1]),
        (["1", "o1"], [1]),
    ],
)
def test_a_rollback_goes_back_past_what_was_rolled_back(entries: list[str], line: list[int]) -> None:
    assert [entry.version for entry in succession(history(*entries))] == line


def test_versions_are_kept_by_number_and_by_age() -> None:
    releases = history("1", "2", "3", "4", "5", "u6")
    at = START + timedelta(days=5)

    few = ReleasePolicy(keep_versions=1, keep_for=timedelta(0))
    assert versions_to_keep(releases, few, at) == {1, 4, 5}
    # Version 3 was champion until day 3, version 2 until day 2.
    recent = ReleasePolicy(keep_versions=1, keep_for=timedelta(days=2))
    assert versions_to_keep(releases, recent, at) == {1, 3, 4, 5}
    assert versions_to_keep(releases, ReleasePolicy(keep_versions=9), at) == {1, 2, 3, 4, 5}


def test_what_is_being_released_is_kept() -> None:
    releases = history("1", "2")
    releases[1] = releases[1].model_copy(update={"state": "intent"})

    assert versions_to_keep(releases, ReleasePolicy(), START) == {1, 2}


@pytest.mark.parametrize("wrong", [{"services": ["localhost:80"]}, {"keep_versions": 0}, {"strategy": "hope"}])
def test_a_release_policy_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ReleasePolicy.model_validate(wrong)


def test_a_release_policy_is_read_from_words() -> None:
    policy = ReleasePolicy.model_validate({"services": ["http://a/"], "verify_timeout": "90s", "keep_for": "30d"})

    assert policy.services == ("http://a",)
    assert policy.verify_timeout == timedelta(seconds=90)
