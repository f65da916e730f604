"""Several processes that run the tests get as many each, and none ends with a long one."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.shares import LONGEST, order


def item_of(path: str, *, slow: bool = False, server: bool = False) -> Any:
    return SimpleNamespace(
        path=Path("/project/tests", path),
        config=SimpleNamespace(rootpath=Path("/project")),
        fixturenames=["prefect_server"] * server,
        get_closest_marker=lambda _: slow or None,
    )


def suite(units: int = 60) -> list[Any]:
    quick = [item_of(f"unit/test_{number % 7}.py", slow=number % 5 == 0) for number in range(units)]
    contracts = [item_of(f"contract/test_{number % 3}.py") for number in range(12)]
    flows = [item_of(f"flows/test_{number % 4}.py", server=True) for number in range(12)]
    return [*quick, *contracts, item_of(f"flows/{LONGEST}"), *flows]


def names(tests: list[Any]) -> list[str]:
    return [str(one.path.relative_to("/project/tests")) for one in tests]


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_each_process_has_as_many_and_the_last_one_only_units(workers: int) -> None:
    items = suite()
    before = list(items)
    order(items, workers)

    assert sorted(map(id, items)) == sorted(map(id, before))
    ends = [len(items) * part // workers for part in range(workers + 1)]
    shares = [names(items[first:last]) for first, last in pairwise(ends)]
    assert shares[0][0] == f"flows/{LONGEST}"
    assert all(name.startswith("unit") for name in shares[-1])
    assert all(not share[0].startswith("unit") and share[-1].startswith("unit") for share in shares[:-1])
    # A module that starts processes is in one share, and what it prepares is made once.
    for module in {name for name in names(items) if not name.startswith("unit")}:
        assert sum(module in share for share in shares) == 1
    # The slow ones of the units begin.
    slow = [one.get_closest_marker("slow") is not None for one in items[ends[-2] :]]
    assert slow == sorted(slow, reverse=True)
    assert any(slow)


def test_without_units_all_processes_share_the_rest() -> None:
    items = suite(0)
    order(items, 3)
    modules = names(items)
    assert modules[0] == f"flows/{LONGEST}"
    assert len(items) == 25


def test_one_process_runs_the_quick_tests_last() -> None:
    items = suite()
    order(items, 1)
    assert names(items)[0] == f"flows/{LONGEST}"
    assert items[-1].get_closest_marker("slow") is None
    assert [name.split("/")[0] for name in names(items)] == ["flows"] * 13 + ["contract"] * 12 + ["unit"] * 60
