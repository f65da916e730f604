"""Prefect looks at a step's argument as a whole, however long the history is that it holds."""

from typing import Any

import pytest
from prefect.utilities.collections import visit_collection

from everfit.tasks.core.records import Record
from everfit.tasks.steps.step import step


class Look(Record):
    """One of the looks in a model's history."""

    number: int
    columns: tuple[str, ...] = ("weight", "region")


class Watched(Record):
    """A model with its history."""

    looks: tuple[Look, ...]


@pytest.fixture(autouse=True)
def _records_are_everfits_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for record in (Look, Watched):
        monkeypatch.setattr(record, "__module__", "everfit.tasks.monitoring.history")


def history(length: int) -> tuple[Look, ...]:
    return tuple(Look(number=number) for number in range(length))


@pytest.mark.parametrize(
    "argument",
    [
        lambda looks: Watched(looks=looks),
        lambda looks: looks,
        lambda looks: {"earlier": looks, "newest": None},
        lambda looks: [("name", 1.5, None), *looks],
    ],
    ids=["record", "records", "records by name", "records and plain values"],
)
def test_what_prefect_visits_does_not_grow_with_the_history(argument: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @step("compute")
    def look(window: Any) -> int:
        return len(window)

    passed: list[Any] = []
    monkeypatch.setattr("prefect.Task.__call__", lambda _task, window: passed.append(window))
    counts = []
    for length in (3, 300):
        look(argument(history(length)))
        visited: list[Any] = []
        visit_collection(passed[-1], visit_fn=visited.append, return_data=False, max_depth=-1, remove_annotations=True)
        counts.append(len(visited))

    assert counts == [2, 2]  # Prefect's mark, and what it marks
