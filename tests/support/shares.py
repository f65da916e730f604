"""The order in which several processes run the tests, so that none waits for another at the end."""

from collections.abc import Mapping, Sequence

import pytest

FOLDERS = {"flows": 2.0, "integration": 0.4, "contract": 0.2, "campaign": 0.6}
"""Folders of tests that start processes, in the order in which they run, and seconds of a test on average."""

LONGEST = "test_killed_turns.py"
"""One test of more than a minute, which must not begin when all others have ended."""


def in_shares(
    heavy: Mapping[str, Sequence[pytest.Item]], light: Sequence[pytest.Item], workers: int
) -> list[pytest.Item]:
    """Order tests for pytest-xdist, which gives each process as many of them, in one piece.

    A process that has no test left takes half of those that another will run last. So each share ends with light tests,
    and the last share has no others: beside processes that often wait for what they started, one always has work, and
    seldom needs a Prefect server.

    Args:
        heavy: The tests of each module that starts processes, which stay together.
        light: The other tests, the longer ones first.
        workers: Number of processes.
    """
    total = sum(map(len, heavy.values())) + len(light)
    sizes = [total // workers + (part >= workers - total % workers) for part in range(workers)]
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    seconds = [0.0] * workers
    busy = workers - 1 if workers > 1 and len(light) >= sizes[-1] else workers
    for tests in heavy.values():
        least = min(range(busy), key=seconds.__getitem__)
        shares[least] += tests
        seconds[least] += len(tests) * FOLDERS.get(_folder(tests[0]), 1.0)
    left = list(light)
    for part in sorted(range(workers), key=lambda part: len(shares[part])):
        missing = max(0, sizes[part] - len(shares[part]))
        shares[part] += left[:missing]
        left = left[missing:]
    return [test for share in shares for test in share] + left


def order(items: list[pytest.Item], workers: int) -> None:
    """Put the longest story first, then those that need a Prefect server, and the quick tests last.

    Args:
        items: All tests.
        workers: Number of processes that share them.
    """
    folders = [*FOLDERS, "unit"]

    def place(item: pytest.Item) -> tuple[bool, bool, int, bool]:
        folder = _folder(item)
        return (
            item.path.name != LONGEST,
            "prefect_server" not in getattr(item, "fixturenames", ()),
            folders.index(folder) if folder in folders else len(folders),
            folder == "unit" and item.get_closest_marker("slow") is None,
        )

    items.sort(key=place)
    if workers > 1:
        heavy: dict[str, list[pytest.Item]] = {}
        for item in items:
            if _folder(item) != "unit":
                heavy.setdefault(str(item.path), []).append(item)
        items[:] = in_shares(heavy, [item for item in items if _folder(item) == "unit"], workers)


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(item.config.rootpath / "tests").parts[0]
