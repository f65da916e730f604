"""Separate good rows from bad ones with Great Expectations, and keep the reasons of the bad ones."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.blocks.expectations import Expectation
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record
from everfit.tasks.core.spread import Spread, in_turn
from everfit.tasks.data.applicable import applicable_expectations, refusing_expectations
from everfit.tasks.data.deduplication import CONFLICT
from everfit.tasks.data.expectation_results import ExpectationResult, describe_expectation
from everfit.tasks.data.expectation_runner import Checker, check_rows
from everfit.tasks.data.part_checks import (
    BadRows,
    blamed_rows,
    check_parts,
    check_whole_columns,
    rows_of_part,
    units_of,
)
from everfit.tasks.data.rhythm import check_rhythm
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.staging import Staging, fresh, from_parquet, slices, to_parquet
from everfit.tasks.data.suite import (
    SAMPLE_ROWS,
    infer_suite,
    is_tolerant,
    read_suite,
    suite_of,
    suite_yields,
    write_suite,
)
from everfit.tasks.sources import FAULTS
from everfit.tasks.sources.chunks import rows_at_once
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ExpectationResult", "Validation", "check_rows", "row_reasons", "validate"]

TYPES, ONE_ROW = "the values are of their columns' types", "the key names one row"
"""Descriptions of everfit's own checks of rows."""


class Validation(Record):
    """Result of checking a batch."""

    passed: bool
    rows: int
    bad_rows: int
    reasons: tuple[str, ...] = Field(description="Reasons why the batch was refused; empty if it passed.")
    outcomes: tuple[ExpectationResult, ...]
    suite_inferred: bool = Field(description="Whether the suite was inferred from this very batch.")
    yielded: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda names: not names,
        description="Inferred expectations that would have refused the batch, and yielded to a loss of quality.",
    )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return in words what is unusual and refuses nothing."""
        return tuple(outcome.observed for outcome in self.outcomes if outcome.warning and not outcome.passed)

    @property
    def accepted(self) -> int:
        """Return the number of rows that go into the dataset."""
        return self.rows - self.bad_rows if self.passed else 0

    @property
    def quarantined(self) -> int:
        """Return the number of rows that go into quarantine."""
        return self.rows - self.accepted


def validate(
    spec: ModelSpec,
    batch: Batch,
    workspace: Workspace,
    *,
    quality_is_lost: bool = False,
    spread: Spread = in_turn,
) -> Validation:
    """Check the staged rows.

    Rows that fail a strict expectation are bad and go to quarantine. The batch fails if an expectation fails without
    naming rows, or if more than `expectations.max_bad_share` of the rows are bad.

    Args:
        spec: Spec of the model.
        batch: The staged batch.
        workspace: Workspace of the batch.
        quality_is_lost: Whether a measured loss of quality calls for the turn. Tolerant expectations that everfit
            inferred and nobody accepted don't refuse the batch then.
        spread: Where the parts of the batch are checked.

    Returns:
        The result, the same when a turn is run again.

    Raises:
        SpecError: If Great Expectations can't read the suite.
    """
    staging = Staging(workspace, spec.name, batch.turn_id, batch.round)
    record = staging.path("validation.json")
    if workspace.exists(record):  # a turn that is run again keeps its first result
        return Validation.model_validate_json(workspace.read(record))
    if not batch.fresh:
        return Validation(passed=True, rows=0, bad_rows=0, reasons=(), outcomes=(), suite_inferred=False)
    kept = suite_of(spec, workspace)
    suite = kept if kept is not None else infer_suite(_sample(staging, batch), spec)
    workspace.write(staging.path("suite.yaml"), write_suite(suite))
    rhythm = tuple(check_rhythm(spec, batch, staging))
    checked = partial(_validated, spec, batch, staging, rhythm=rhythm, spread=spread)
    validation = checked(suite).model_copy(update={"suite_inferred": kept is None})
    if kept is None or (quality_is_lost and suite_yields(spec, workspace)):
        refusing = refusing_expectations(suite, spec, batch, validation.outcomes)
        refusing = [expectation for expectation in refusing if kept is None or is_tolerant(expectation)]
        if refusing:
            holding = tuple(expectation for expectation in suite if expectation not in refusing)
            workspace.write(staging.path("suite.yaml"), write_suite(holding))
            yielded = () if kept is None else tuple(map(describe_expectation, refusing))
            changes = {"suite_inferred": kept is None, "yielded": yielded}
            validation = checked(holding).model_copy(update=changes)
    workspace.write(record, validation.canonical_json().encode())
    return validation


def _validated(
    spec: ModelSpec,
    batch: Batch,
    staging: Staging,
    suite: tuple[Expectation, ...],
    *,
    rhythm: tuple[ExpectationResult, ...],
    spread: Spread,
) -> Validation:
    matched = staging.read_matched()
    applicable, pieces = applicable_expectations(suite, spec, batch), len(batch.sizes)
    units = units_of(batch.sizes, len(batch.kinds))
    checker, candidates = Checker(applicable, pieces, len(units)), fresh(matched)
    bad, faulty = BadRows(matched.status == CONFLICT, {}), 0
    spans = list(slices(batch.sizes))
    wanted = ([(number, candidates[spans[number]].copy()) for number in unit] for unit in units)
    some = ([part for part in unit if part[1].any()] for unit in wanted)
    for parts in spread(check_parts, (staging, applicable, pieces, len(units)), filter(None, some)):
        for number, rows in parts.with_faults.items():
            faulty += len(rows)
            bad.rows[spans[number]][rows] = True
            candidates[spans[number]][rows] = False
        for number, rows, position in parts.blamed:
            bad.rows[spans[number]][rows] = True
            bad.blamed.setdefault(number, []).append((rows, position))
        checker.merge(parts.checker)
    check_whole_columns(checker, batch, staging, candidates, bad)
    for number, span in enumerate(slices(batch.sizes)):
        staging.workspace.write(staging.path(f"{number:05d}.bad.parquet"), to_parquet(blamed_rows(bad, number, span)))
    own = (*_own_outcomes(batch, faulty, has_key=bool(spec.columns.key)), *rhythm)
    return _result_of(spec, batch, int(bad.rows.sum()), own, tuple(checker.outcomes()))


def _own_outcomes(batch: Batch, faulty: int, *, has_key: bool) -> Iterator[ExpectationResult]:
    """Yield the results of everfit's own checks."""
    for name, kind in batch.missing_columns.items():
        yield ExpectationResult(
            expectation=f"column {name!r} exists", passed=False, unexpected=0, observed=f"expected {kind}"
        )
    observed = f"{faulty:,} of {batch.fresh:,}" if faulty else ""
    yield ExpectationResult(expectation=TYPES, passed=not faulty, unexpected=faulty, observed=observed, strict=True)
    if has_key:
        observed = f"{batch.conflicts:,} of {batch.fresh:,} share their key with another row" if batch.conflicts else ""
        yield ExpectationResult(
            expectation=ONE_ROW, passed=not batch.conflicts, unexpected=batch.conflicts, observed=observed, strict=True
        )


def _result_of(
    spec: ModelSpec,
    batch: Batch,
    bad_rows: int,
    own: Sequence[ExpectationResult],
    of_suite: Sequence[ExpectationResult],
) -> Validation:
    outcomes = (*own, *of_suite)
    reasons = [f"{outcome.expectation}: {outcome.observed}" for outcome in outcomes if outcome.refuses_batch]
    allowed = spec.expectations.max_bad_share
    if bad_rows > allowed * batch.fresh:
        failed = "; ".join(
            f"{outcome.expectation}: {outcome.observed}"
            for outcome in outcomes
            if outcome.strict and outcome.unexpected
        )
        reasons.append(f"{bad_rows:,} of {batch.fresh:,} rows are bad, more than the {allowed:.0%} allowed ({failed})")
    return Validation(
        passed=not reasons,
        rows=batch.fresh,
        bad_rows=bad_rows,
        reasons=(*reasons, *_way_out(spec, batch, of_suite)) if reasons else (),
        outcomes=outcomes,
        suite_inferred=False,
    )


def _way_out(spec: ModelSpec, batch: Batch, of_suite: Sequence[ExpectationResult]) -> Iterator[str]:
    """Yield what to do if the data is right and an expectation of it is wrong."""
    if gone := sorted(batch.missing_columns):
        listed = sorted(set(gone) & set(spec.columns.features or ()))
        yield (
            f"if {', '.join(map(repr, gone))} will not come again, name it under columns.ignore in the spec"
            f"{' in place of columns.features' * bool(listed)}, and train again"
        )
    if not any(outcome.refuses_batch or (outcome.strict and outcome.unexpected) for outcome in of_suite):
        return
    if spec.expectations.suite is None:
        yield "if such rows are right, accept them by `everfit expectations MODEL --write`, and train again"
    else:
        yield "if such rows are right, change expectations.suite in the spec, and train again"


def row_reasons(
    spec: ModelSpec, batch: Batch, number: int, *, staging: Staging, faults: "pa.ChunkedArray", status: npt.ArrayLike
) -> dict[int, str]:
    """Return the failed expectations of each bad row of a part, by the row's position."""
    suite = read_suite(staging.workspace.read(staging.path("suite.yaml")))
    words = [describe_expectation(expectation) for expectation in applicable_expectations(suite, spec, batch)]
    bad = from_parquet(staging.workspace.read(staging.path(f"{number:05d}.bad.parquet"))).to_pydict()
    conflicts = np.asarray(status) == CONFLICT
    reasons: dict[int, list[str]] = {}
    for row, expectation in zip(bad["row"], bad["expectation"], strict=True):
        own = (faults[row].as_py() or "").rstrip("; ") or (ONE_ROW if conflicts[row] else "")
        reasons.setdefault(row, []).append(words[expectation] if expectation >= 0 else own)
    return {row: "; ".join(texts) for row, texts in reasons.items()}


def _sample(staging: Staging, batch: Batch) -> pd.DataFrame:
    """Return every k-th row to check, as many as a suite is inferred from."""
    wanted = fresh(staging.read_matched())
    step = int(np.ceil(max(1, wanted.sum()) / min(SAMPLE_ROWS, rows_at_once(len(batch.kinds)))))
    frames = []
    for number, span in enumerate(slices(batch.sizes)):
        chosen = np.zeros(span.stop - span.start, dtype=np.bool_)
        chosen[np.flatnonzero(wanted[span])[::step]] = True
        frame, _ = rows_of_part(staging, number, chosen)
        frames.append(frame[frame[FAULTS].fillna("") == ""])
    return pd.concat(frames, ignore_index=True).drop(columns=FAULTS)
