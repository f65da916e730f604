"""The expectations of a suite that apply to a batch, and those that refuse it."""

from collections.abc import Sequence

from everfit.blocks.expectations import Expectation
from everfit.blocks.spec import ModelSpec
from everfit.tasks.data.expectation_kinds import named_columns
from everfit.tasks.data.expectation_results import ExpectationResult
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.suite import is_key_check


def applicable_expectations(suite: Sequence[Expectation], spec: ModelSpec, batch: Batch) -> list[Expectation]:
    """Return the expectations to check.

    Left out are unique keys, which deduplication checks, missing columns, which are reported once, and columns that the
    spec ignores.
    """
    left_out = {*batch.missing_columns, *spec.columns.ignore}
    return [
        expectation
        for expectation in suite
        if not is_key_check(expectation, spec.columns.key) and not left_out & set(named_columns(expectation) or ())
    ]


def refusing_expectations(
    suite: Sequence[Expectation], spec: ModelSpec, batch: Batch, outcomes: Sequence[ExpectationResult]
) -> list[Expectation]:
    """Return the expectations of a suite by which a batch is refused.

    Args:
        suite: The suite.
        spec: Spec of the model.
        batch: The batch.
        outcomes: The batch's results; those of the suite come last.
    """
    applicable = applicable_expectations(suite, spec, batch)
    of_suite = outcomes[len(outcomes) - len(applicable) :]
    return [expectation for expectation, outcome in zip(applicable, of_suite, strict=True) if outcome.refuses_batch]
