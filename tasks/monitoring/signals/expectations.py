"""The expectation suite, checked on the predicted rows: rows that training would refuse are reported early."""

from collections.abc import Collection, Sequence

import pandas as pd

from everfit.blocks.expectations import Expectation
from everfit.tasks.data.expectation_kinds import named_columns
from everfit.tasks.data.expectation_runner import Checker
from everfit.tasks.data.suite import is_tolerant
from everfit.tasks.monitoring.signals.data_quality import FEWEST_ROWS
from everfit.tasks.triage.signals import INFERRED_BOUND, Problem

MOST_ROWS = 20_000
"""A larger window is checked by a sample, since a share of its rows decides."""


def unmet(
    suite: Sequence[Expectation],
    rows: pd.DataFrame,
    columns: Collection[str],
    max_bad_share: float,
    *,
    inferred: bool = False,
) -> tuple[Problem, ...] | None:
    """Return the expectations that the new rows fail.

    An expectation that tolerates some rows fails beyond that share; the rows that fail a strict one are counted, as in
    training, and all of them together may be `max_bad_share`.

    Args:
        suite: The model's expectations. Those on other columns, and on the table as a whole, are not asked.
        rows: The rows of the prediction log, or a sample of it.
        columns: The inputs.
        max_bad_share: Share of the rows that may fail strict expectations.
        inferred: Whether the suite's tolerant expectations were inferred, and nobody accepted them.

    Returns:
        The failed expectations; None if there are too few rows to say.

    Raises:
        SpecError: Great Expectations doesn't know an expectation, or its arguments.
    """
    there = set(columns) & set(rows.columns)
    applicable = [
        expectation for expectation in suite if (names := named_columns(expectation)) and there.issuperset(names)
    ]
    if not applicable:
        return ()
    if len(rows) < FEWEST_ROWS:
        return None
    checker = Checker(applicable)
    blamed: set[int] = set()
    for _, positions in checker.check(rows[sorted(there)].reset_index(drop=True)):
        blamed.update(positions)
    outcomes = list(zip(applicable, checker.outcomes(), strict=True))
    problems = [
        Problem(
            kind=INFERRED_BOUND if inferred and is_tolerant(expectation) else "expectation",
            column=_subject(expectation),
            summary=f"{outcome.expectation} fails: {outcome.observed}",
        )
        for expectation, outcome in outcomes
        if outcome.refuses_batch
    ]
    if len(blamed) > max_bad_share * len(rows):
        strict = [(expectation, outcome) for expectation, outcome in outcomes if outcome.strict and outcome.unexpected]
        details = "; ".join(f"{outcome.expectation}: {outcome.observed}" for _, outcome in strict)
        share = f"{len(blamed) / len(rows):.1%} of the rows are bad, more than the {max_bad_share:.0%} allowed"
        columns_named = ", ".join(dict.fromkeys(_subject(expectation) for expectation, _ in strict))
        problems.append(Problem(kind="expectation", column=columns_named, summary=f"{share} ({details})"))
    return tuple(problems)


def _subject(expectation: Expectation) -> str:
    return ", ".join(named_columns(expectation) or ())
