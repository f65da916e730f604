"""Run a suite of Great Expectations over rows chunk by chunk, and combine the results.

Expectations on single rows are counted chunk by chunk. Those on extremes or distinct values get the rows of each chunk
that decide them. Another expectation on a whole column (a mean, a quantile, uniqueness) gets the whole column, and no
other column with it.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from everfit.blocks.errors import SpecError
from everfit.blocks.expectations import Expectation
from everfit.tasks.data.column_reductions import is_reducible, reduced
from everfit.tasks.data.expectation_results import ExpectationResult, ExpectationTally

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult

# Great Expectations has one context for the whole process, so only one validation may use it at a time.
_GREAT_EXPECTATIONS = threading.Lock()

# These name single rows, but the result of each row depends on the other rows.
_NEEDS_ALL_ROWS = frozenset(
    {
        "expect_column_values_to_be_unique",
        "expect_compound_columns_to_be_unique",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_decreasing",
        "expect_column_value_z_scores_to_be_less_than",
    }
)
# These check the names and types of columns alone, which are the same in every chunk.
_NEEDS_NO_ROWS = frozenset(
    {
        "expect_column_to_exist",
        "expect_column_values_to_be_of_type",
        "expect_column_values_to_be_in_type_list",
        "expect_table_columns_to_match_ordered_list",
        "expect_table_columns_to_match_set",
        "expect_table_column_count_to_equal",
        "expect_table_column_count_to_be_between",
    }
)
_COLUMNS_AT_ONCE = 40
_ROW_COUNT = frozenset({"expect_table_row_count_to_be_between", "expect_table_row_count_to_equal"})


class Checker:
    """Runs a suite over the chunks of a batch.

    Args:
        suite: The expectations.
        pieces: Number of chunks; a single chunk gets all expectations at once.

    Attributes:
        tallies: The counts of each expectation.
        rows: Number of rows so far.
        deciding: For each expectation on extremes or distinct values the rows so far that decide it.

    Raises:
        SpecError: If Great Expectations doesn't know an expectation or its arguments.
    """

    def __init__(self, suite: Sequence[Expectation], pieces: int = 1) -> None:
        self.tallies = [ExpectationTally(expectation, strict=_is_strict(expectation)) for expectation in suite]
        self._by_row = [
            position
            for position, expectation in enumerate(suite)
            if expectation.type not in _ROW_COUNT and (_runs_by_row(expectation) or pieces == 1)
        ]
        rest = [
            position
            for position, expectation in enumerate(suite)
            if position not in self._by_row and expectation.type not in _ROW_COUNT
        ]
        self.deciding: dict[int, list[pd.DataFrame]] = {
            position: [] for position in rest if is_reducible(suite[position])
        }
        self._whole = [position for position in rest if position not in self.deciding]
        self._counts = [position for position, expectation in enumerate(suite) if expectation.type in _ROW_COUNT]
        self.rows = 0

    def check(self, frame: pd.DataFrame) -> list[tuple[int, list[int]]]:
        """Check a chunk that is indexed from 0.

        Returns:
            The number of each expectation with bad rows, and their positions in the chunk.
        """
        self.rows += len(frame)
        if len(frame):
            for position, kept in self.deciding.items():
                kept.append(reduced(frame, self.tallies[position].expectation))
        return self._run(frame, self._by_row)

    def merge(self, other: "Checker") -> None:
        """Add what a checker of the same suite has counted in later chunks."""
        self.rows += other.rows
        for mine, theirs in zip(self.tallies, other.tallies, strict=True):
            mine.merge(theirs)
        for position, kept in self.deciding.items():
            kept.extend(other.deciding[position])

    def columns_by_row(self) -> list[str] | None:
        """Return the columns that a chunk needs, or None for all."""
        named = [columns_read(self.tallies[position].expectation) for position in (*self._by_row, *self.deciding)]
        if any(names is None for names in named):
            return None
        return list(dict.fromkeys(name for names in named for name in names or ()))

    def columns_of_whole(self) -> Iterator[tuple[list[str] | None, list[int]]]:
        """Yield columns that are needed as a whole, with the expectations that need them; None means all columns."""
        groups: dict[tuple[str, ...] | None, list[int]] = {}
        for position in self._whole:
            named = columns_read(self.tallies[position].expectation)
            groups.setdefault(None if named is None else tuple(named), []).append(position)
        for names, positions in groups.items():
            yield (None if names is None else list(names)), positions

    def check_whole(self, frame: pd.DataFrame, positions: list[int]) -> list[tuple[int, list[int]]]:
        """Check whole columns; the result is that of `check`."""
        return self._run(frame, positions)

    def outcomes(self) -> tuple[ExpectationResult, ...]:
        """Return the result of each expectation, in the suite's order."""
        if self._counts:
            counted = _RowCount(self.rows)
            for position in self._counts:
                counted.judge(self.tallies[position])
        for position, kept in self.deciding.items():
            if kept:
                self._run(pd.concat(kept, ignore_index=True), [position])
                kept.clear()
        return tuple(tally.outcome() for tally in self.tallies)

    def _run(self, frame: pd.DataFrame, positions: list[int]) -> list[tuple[int, list[int]]]:
        if not positions or not len(frame):
            return []
        blamed, again = [], []
        for position, result in self._validated(frame, positions, complete=False):
            # Naming the rows takes long, so it is requested only if there are bad rows.
            if self.tallies[position].strict and (result.result or {}).get("unexpected_count"):
                again.append(position)
            else:
                self.tallies[position].add(result)
        for position, result in self._validated(frame, again, complete=True) if again else ():
            if rows := self.tallies[position].add(result):
                blamed.append((position, rows))
        return blamed

    def _validated(
        self, frame: pd.DataFrame, positions: list[int], *, complete: bool
    ) -> "Iterator[tuple[int, ExpectationValidationResult]]":
        for names, group in self._groups(frame, positions):
            suite = [self.tallies[position].expectation for position in group]
            for result in _run(frame if names is None else frame[names], suite, complete=complete):
                # The results have another order, so each expectation is identified by its mark.
                meta = result.expectation_config.meta if result.expectation_config else None
                yield group[int((meta or {})["position"])], result

    def _groups(self, frame: pd.DataFrame, positions: list[int]) -> Iterator[tuple[list[str] | None, list[int]]]:
        """Yield expectations that are checked together, with the columns that they read; None means all columns.

        Great Expectations copies all columns for each expectation on one of them, so many columns would take long.
        """
        if len(frame.columns) <= _COLUMNS_AT_ONCE:
            yield None, positions
            return
        read = {position: columns_read(self.tallies[position].expectation) for position in positions}
        if of_all := [position for position in positions if read[position] is None]:
            yield None, of_all
        names: dict[str, None] = {}
        group: list[int] = []
        for position in positions:
            wanted = dict.fromkeys(read[position] or ())
            if group and wanted and len(names | wanted) > _COLUMNS_AT_ONCE:
                yield [name for name in names if name in frame.columns], group
                names, group = {}, []
            if wanted:
                names |= wanted
                group.append(position)
        if group:
            yield [name for name in names if name in frame.columns], group


@dataclass(frozen=True)
class _RowCount:
    """The number of rows, which needs no check by Great Expectations."""

    rows: int

    def judge(self, tally: ExpectationTally) -> None:
        kwargs = tally.expectation.kwargs
        low = kwargs.get("value", kwargs.get("min_value"))
        high = kwargs.get("value", kwargs.get("max_value"))
        above = low is None or (self.rows > low if kwargs.get("strict_min") else self.rows >= low)
        below = high is None or (self.rows < high if kwargs.get("strict_max") else self.rows <= high)
        tally.failed, tally.observed = not (above and below), f"{self.rows:,} rows"


def check_rows(frame: pd.DataFrame, suite: Sequence[Expectation]) -> tuple[ExpectationResult, ...]:
    """Run a suite over rows that fit into memory.

    Raises:
        SpecError: If Great Expectations doesn't know an expectation or its arguments.
    """
    checker = Checker(suite)
    checker.check(frame.reset_index(drop=True))
    return checker.outcomes()


def _is_strict(expectation: Expectation) -> bool:
    return float(expectation.kwargs.get("mostly", 1.0)) >= 1.0


def _runs_by_row(expectation: Expectation) -> bool:
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )
    from great_expectations.expectations.registry import get_expectation_impl

    if expectation.type in _NEEDS_NO_ROWS:
        return True
    try:
        kind = get_expectation_impl(expectation.type)
    except ExpectationNotFoundError as error:
        raise SpecError(f"expectations.suite: there is no {expectation.type!r} in Great Expectations") from error
    by_row = issubclass(kind, ColumnMapExpectation | ColumnPairMapExpectation | MulticolumnMapExpectation)
    return by_row and expectation.type not in _NEEDS_ALL_ROWS


def named_columns(expectation: Expectation) -> list[str] | None:
    """Return the columns that an expectation names, or None if it names none or has a condition on others."""
    kwargs = expectation.kwargs
    if kwargs.get("row_condition"):
        return None
    named = [kwargs[name] for name in ("column", "column_A", "column_B") if isinstance(kwargs.get(name), str)]
    for name in ("column_list", "column_set"):
        listed: Iterable[Any] = kwargs.get(name) or ()
        named += [name for name in listed if isinstance(name, str)]
    return list(dict.fromkeys(named)) or None


def columns_read(expectation: Expectation) -> list[str] | None:
    """Return the columns that a check reads; None for all: a table may have others than its expectation names."""
    return None if expectation.type.startswith("expect_table_") else named_columns(expectation)


def _run(frame: pd.DataFrame, suite: Sequence[Expectation], *, complete: bool) -> "list[ExpectationValidationResult]":
    import great_expectations as gx
    from great_expectations.core.batch import Batch
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.exceptions.exceptions import GreatExpectationsError
    from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.validator.validator import Validator

    with _GREAT_EXPECTATIONS:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        try:
            configured = gx.ExpectationSuite(
                name="everfit",
                expectations=[
                    ExpectationConfiguration(
                        type=expectation.type, kwargs=dict(expectation.kwargs), meta={"position": position}
                    )
                    for position, expectation in enumerate(suite)
                ],
            )
        except (GreatExpectationsError, ValueError, TypeError) as error:
            raise SpecError(
                f"expectations.suite: {str(error).splitlines()[0]}; see Great Expectations' gallery"
            ) from error
        # Give the rows to the engine directly: a data source would hash every value twice for an unused fingerprint,
        # which takes as long as all expectations together.
        engine = PandasExecutionEngine()
        batch: Any = Batch()  # Great Expectations' annotation names another type than it accepts
        batch.data = frame
        validator = Validator(execution_engine=engine, data_context=context, batches=[batch])
        try:
            return validator.graph_validate(
                configurations=validator.process_expectations_for_validation(configured.expectation_configurations),
                runtime_configuration={"result_format": {"result_format": "COMPLETE" if complete else "BASIC"}},
            )
        finally:  # engine and batches refer to each other, and would keep each chunk's rows until the next collection
            engine.batch_manager.batch_data_cache.clear()
            engine.batch_manager.reset_batch_cache()
            batch.data = None
