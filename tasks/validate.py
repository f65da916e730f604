"""Validate: tell good rows from bad ones, by Great Expectations; keep the bad ones aside with their reasons."""

import threading
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from everfit.blocks.errors import SpecError
from everfit.blocks.expectations import Expectation
from everfit.blocks.spec import ModelSpec
from everfit.tasks.ingest import Batch, read_batch
from everfit.tasks.records import Record
from everfit.tasks.suite import infer_suite, suite_of
from everfit.tasks.workspace import Workspace

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult

# The context of Great Expectations is one for the whole process, so two validations must not meet in it.
_GREAT_EXPECTATIONS = threading.Lock()


class Outcome(Record):
    """What one expectation found."""

    expectation: str = Field(description="In words, as the reason that a quarantined row carries.")
    passed: bool
    unexpected: int = Field(description="How many rows are not as expected; 0 for one about the whole table.")
    observed: str = ""
    rows_at_fault: tuple[int, ...] = Field(default=(), exclude=True, description="Their positions in the batch.")


class Validation(Record):
    """What the suite found in a batch."""

    passed: bool
    rows: int
    bad_rows: int
    reasons: tuple[str, ...] = Field(description="Why the batch was refused; empty when it passed.")
    outcomes: tuple[Outcome, ...]
    suite_inferred: bool = Field(description="Whether the suite was made from this very batch.")


def check_rows(frame: pd.DataFrame, suite: tuple[Expectation, ...]) -> tuple[Outcome, ...]:
    """Run a suite over rows.

    An expectation that raises (its column is missing, its type doesn't fit) has failed.

    Args:
        frame: The rows, with an index from 0.
        suite: The expectations.

    Returns:
        One outcome for each expectation, in the suite's order.

    Raises:
        SpecError: Great Expectations doesn't know an expectation, or its arguments.
    """
    results = _run(frame.reset_index(drop=True), suite)
    # The results come in an order of their own; the mark that each expectation was given tells whose each is.
    by_position = {
        result.expectation_config.meta["position"]: result for result in results.results if result.expectation_config
    }
    return tuple(_outcome(expectation, by_position[position]) for position, expectation in enumerate(suite))


def _run(frame: pd.DataFrame, suite: tuple[Expectation, ...]) -> "ExpectationSuiteValidationResult":
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.exceptions.exceptions import GreatExpectationsError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    with _GREAT_EXPECTATIONS:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("everfit").add_dataframe_asset("batch")
        batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
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
        return batch.validate(configured, result_format={"result_format": "COMPLETE"})


def _outcome(expectation: Expectation, result: "ExpectationValidationResult") -> Outcome:
    words = f"{expectation.type}({', '.join(f'{key}={_short(value)}' for key, value in expectation.kwargs.items())})"
    found = result.result or {}
    if not found and not result.success:
        errors = [entry for entry in (result.exception_info or {}).values() if isinstance(entry, dict)]
        message = (
            errors[0].get("exception_message") if errors else (result.exception_info or {}).get("exception_message")
        )
        return Outcome(
            expectation=words, passed=False, unexpected=0, observed=str(message or "it could not be checked")
        )
    at_fault = found.get("unexpected_index_list") or []
    strict = float(expectation.kwargs.get("mostly", 1.0)) >= 1.0
    return Outcome(
        expectation=words,
        passed=bool(result.success),
        unexpected=int(found.get("unexpected_count") or 0),
        observed=_short(found.get("observed_value", found.get("partial_unexpected_list", "")), 120),
        rows_at_fault=tuple(sorted({int(row) for row in at_fault})) if strict else (),
    )


def _short(value: object, limit: int = 60) -> str:
    text = str(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def validate(spec: ModelSpec, batch: Batch, workspace: Workspace) -> Validation:
    """Check the staged rows.

    Rows that fail a strict expectation are bad and go to quarantine; the batch fails when an expectation fails
    without naming rows, or when more than `expectations.max_bad_share` of the rows are bad.

    Raises:
        SpecError: the suite can't be read by Great Expectations.
    """
    frame = read_batch(batch, workspace)
    kept = suite_of(spec, workspace)
    if frame.empty:
        return Validation(passed=True, rows=0, bad_rows=0, reasons=(), outcomes=(), suite_inferred=False)
    outcomes = check_rows(_plain(frame), kept if kept is not None else infer_suite(frame, spec))
    bad_rows = len({row for outcome in outcomes for row in outcome.rows_at_fault})
    reasons = [
        f"{outcome.expectation}: {outcome.observed}"
        for outcome in outcomes
        if not outcome.passed and not outcome.rows_at_fault
    ]
    if bad_rows > spec.expectations.max_bad_share * len(frame):
        failed = "; ".join(outcome.expectation for outcome in outcomes if outcome.rows_at_fault)
        reasons.append(
            f"{bad_rows:,} of {len(frame):,} rows are bad, "
            f"more than the {spec.expectations.max_bad_share:.0%} allowed ({failed})"
        )
    return Validation(
        passed=not reasons,
        rows=len(frame),
        bad_rows=bad_rows,
        reasons=tuple(reasons),
        outcomes=outcomes,
        suite_inferred=kept is None,
    )


def quarantine_reasons(frame: pd.DataFrame, validation: Validation) -> pd.Series:
    """For each row what it failed, in words; empty text for a good row. Shape (rows,)."""
    reasons = pd.Series("", index=range(len(frame)))
    for outcome in validation.outcomes:
        rows = list(outcome.rows_at_fault)
        reasons.iloc[rows] = reasons.iloc[rows].map(
            lambda text, more=outcome.expectation: f"{text}; {more}" if text else more
        )
    return reasons


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[[name for name in frame.columns if not name.startswith("_")]]
