"""Run a suite of Great Expectations over rows chunk by chunk, and combine the results.

Expectations on single rows are counted chunk by chunk. Those on extremes or distinct values get the rows of each chunk
that decide them; those on means, sums and standard deviations get exact sums of each chunk. Another expectation on a
whole column (a quantile, uniqueness) gets the whole column, and no other column with it.
"""

import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from everfit.blocks.errors import SpecError
from everfit.blocks.expectations import Expectation
from everfit.tasks.data.column_reductions import is_of_sums, is_reducible, judged, reduced
from everfit.tasks.data.expectation_kinds import columns_read, is_existence, is_strict, runs_by_row
from everfit.tasks.data.expectation_results import ExpectationResult, ExpectationTally
from everfit.tasks.statistics.exact_moments import Moments

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult

# Great Expectations has one context for the whole process, so only one validation may use it at a time.
_GREAT_EXPECTATIONS = threading.Lock()

COLUMNS_AT_ONCE = 40
"""Great Expectations takes time for each expectation and chunk, and copies all columns for an expectation on one."""
_ROW_COUNT = frozenset({"expect_table_row_count_to_be_between", "expect_table_row_count_to_equal"})


class Checker:
    """Runs a suite over the chunks of a batch.

    Args:
        suite: The expectations.
        pieces: Number of chunks; a single chunk gets all expectations at once.
        units: Number of chunks of rows for an expectation whose columns are known: some columns of several pieces may
            be checked at once. By default as many as pieces.

    Attributes:
        tallies: The counts of each expectation.
        rows: Number of rows so far.
        deciding: For each expectation on extremes, distinct values or sums what decides it so far: rows, or sums.

    Raises:
        SpecError: If Great Expectations doesn't know an expectation or its arguments.
    """

    def __init__(self, suite: Sequence[Expectation], pieces: int = 1, units: int | None = None) -> None:
        in_one_piece, in_one_unit = pieces == 1, (units or pieces) == 1
        has_all_rows = [
            in_one_piece or (in_one_unit and columns_read(expectation) is not None) for expectation in suite
        ]
        self.tallies = [ExpectationTally(expectation, strict=is_strict(expectation)) for expectation in suite]
        self._by_row = [
            position
            for position, expectation in enumerate(suite)
            if expectation.type not in _ROW_COUNT
            and not is_of_sums(expectation)
            and (runs_by_row(expectation) or has_all_rows[position])
        ]
        rest = [
            position
            for position, expectation in enumerate(suite)
            if position not in self._by_row and expectation.type not in _ROW_COUNT
        ]
        self.deciding: dict[int, list[pd.DataFrame | Moments]] = {
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
        return self.check_some(frame, [*self._by_row, *self.deciding])

    def check_some(self, frame: pd.DataFrame, positions: Sequence[int]) -> list[tuple[int, list[int]]]:
        """Check some expectations on a chunk that is indexed from 0 and has their columns; it is not counted.

        Returns:
            As `check`.
        """
        there = {
            position
            for position in self.deciding.keys() & {*positions}
            if self.tallies[position].expectation.kwargs["column"] in frame.columns
        }
        if len(frame):
            for position in there:
                self.deciding[position].append(reduced(frame, self.tallies[position].expectation))
        return self._run(frame, [position for position in positions if position not in there])

    def groups(self, columns: Collection[str]) -> Iterator[tuple[list[str] | None, list[int]]]:
        """Yield what is checked by chunks: expectations with the columns that they read; None means all columns."""
        return self._by_columns(columns, sorted([*self._by_row, *self.deciding]))

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
            sums = [part for part in kept if isinstance(part, Moments)]
            frames = [part for part in kept if isinstance(part, pd.DataFrame)]
            others = [frame for frame in frames if sums and frame.notna().to_numpy().any()]  # such as texts
            if sums and not others:
                self.tallies[position].judge(*judged(sums, self.tallies[position].expectation))
            elif kept:
                self._run(pd.concat(others or frames, ignore_index=True), [position])
            kept.clear()
        return tuple(tally.outcome() for tally in self.tallies)

    def _run(self, frame: pd.DataFrame, positions: list[int]) -> list[tuple[int, list[int]]]:
        if not len(frame):
            return []
        for position in [one for one in positions if is_existence(self.tallies[one].expectation)]:
            self.tallies[position].exists(self.tallies[position].expectation.kwargs["column"] in frame.columns)
        positions = [one for one in positions if not is_existence(self.tallies[one].expectation)]
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
        few = len(frame.columns) <= COLUMNS_AT_ONCE
        groups = iter([(None, positions)] if few else self._by_columns(frame.columns, positions))
        for names, group in groups if positions else ():
            suite = [self.tallies[position].expectation for position in group]
            for result in _run(frame if names is None else frame[names], suite, complete=complete):
                # The results have another order, so each expectation is identified by its mark.
                meta = result.expectation_config.meta if result.expectation_config else None
                yield group[int((meta or {})["position"])], result

    def _by_columns(
        self, columns: Collection[str], positions: list[int]
    ) -> Iterator[tuple[list[str] | None, list[int]]]:
        read = {position: columns_read(self.tallies[position].expectation) for position in positions}
        if of_all := [position for position in positions if read[position] is None]:
            yield None, of_all
        names: dict[str, None] = {}
        group: list[int] = []
        places = {name: place for place, name in enumerate(columns)}
        for position in sorted(
            positions, key=lambda one: min((places.get(name, -1) for name in read[one] or ()), default=-1)
        ):
            wanted = dict.fromkeys(read[position] or ())
            if group and wanted and len(names | wanted) > COLUMNS_AT_ONCE:
                yield [name for name in names if name in columns], group
                names, group = {}, []
            if wanted:
                names |= wanted
                group.append(position)
        if group:
            yield [name for name in names if name in columns], group


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
