"""Show a validation to people: as Great Expectations' own page, and as rows of a table."""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from everfit.blocks.expectations import Expectation
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.outside_text import page_text
from everfit.tasks.core.page_policy import policy_of, with_policy
from everfit.tasks.data.applicable import applicable_expectations
from everfit.tasks.data.expectation_results import ExpectationResult
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.staging import Staging
from everfit.tasks.data.suite import read_suite
from everfit.tasks.data.validate import ONE_ROW, Validation
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.render.view.view import DefaultJinjaPageView


def table_rows(validation: Validation) -> list[dict[str, Any]]:
    """Return one row per expectation, the failed ones first."""
    rows = [
        {
            "expectation": outcome.expectation,
            "holds": "yes" if outcome.passed else "no",
            "unexpected rows": outcome.unexpected,
            "observed": outcome.observed,
            "consequence": _consequence(outcome),
        }
        for outcome in validation.outcomes
    ]
    return sorted(rows, key=lambda row: row["holds"] == "yes")


def _consequence(outcome: ExpectationResult) -> str:
    if outcome.warning:
        return "it is reported"
    return "the rows are quarantined" if outcome.strict else "the batch is refused"


def validation_html(spec: ModelSpec, batch: Batch, validation: Validation, workspace: Workspace) -> str:
    """Render Great Expectations' page of a validation; everfit's own checks are only in the table.

    Args:
        spec: Spec of the model.
        batch: The checked batch.
        validation: Result of the check.
        workspace: Workspace of the suite.
    """
    staging = Staging(workspace, spec.name, batch.turn_id, batch.round)
    suite = applicable_expectations(read_suite(workspace.read(staging.path("suite.yaml"))), spec, batch)
    results = list(_results(spec, batch, validation, suite))
    shell = _page(spec, batch, [], passed=True)
    return with_policy(_page(spec, batch, results, passed=validation.passed), policy_of(shell))


def _page(spec: ModelSpec, batch: Batch, results: "list[ExpectationValidationResult]", *, passed: bool) -> str:
    """Render Great Expectations' page of some results."""
    import great_expectations as gx
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

    successes = sum(bool(result.success) for result in results)
    rendered = ValidationResultsPageRenderer().render(
        ExpectationSuiteValidationResult(
            success=passed,
            results=results,
            suite_name=spec.name,
            suite_parameters={},
            statistics={
                "evaluated_expectations": len(results),
                "successful_expectations": successes,
                "unsuccessful_expectations": len(results) - successes,
                "success_percent": 100 * successes / len(results) if results else None,
            },
            meta={
                "run_id": RunIdentifier(run_name=batch.turn_id, run_time=batch.window.until),
                "great_expectations_version": gx.__version__,
                "batch_kwargs": {"datasource": spec.source.kind},
            },
        )
    )
    return str(_view().render(rendered))  # type: ignore[no-untyped-call]


@cache
def _view() -> "DefaultJinjaPageView":
    """Great Expectations' templates: compiling them takes as long as filling many pages."""
    from great_expectations.render.view.view import DefaultJinjaPageView

    return DefaultJinjaPageView()


def _results(
    spec: ModelSpec, batch: Batch, validation: Validation, suite: list[Expectation]
) -> "Iterator[ExpectationValidationResult]":
    own = validation.outcomes[: len(validation.outcomes) - len(suite)]
    for name in batch.missing_columns:
        missing = ExpectationResult(expectation="", passed=False, unexpected=0)
        yield _result(Expectation(type="expect_column_to_exist", kwargs={"column": name}), missing)
    for outcome in own:
        if outcome.expectation == ONE_ROW:
            yield _result(_names_one_row(spec.columns.key), outcome.model_copy(update={"counted": batch.fresh}))
    for expectation, outcome in zip(suite, validation.outcomes[len(own) :], strict=True):
        yield _result(expectation, outcome)


def _names_one_row(key: tuple[str, ...]) -> Expectation:
    if len(key) == 1:
        return Expectation(type="expect_column_values_to_be_unique", kwargs={"column": key[0]})
    return Expectation(type="expect_compound_columns_to_be_unique", kwargs={"column_list": list(key)})


def _result(expectation: Expectation, outcome: ExpectationResult) -> "ExpectationValidationResult":
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    # Great Expectations' page does not escape them all.
    result: dict[str, Any] = {"observed_value": page_text(outcome.observed)}
    if outcome.counted:
        share = 100 * outcome.unexpected / outcome.counted
        result = {
            "element_count": outcome.counted,
            "unexpected_count": outcome.unexpected,
            "unexpected_percent": share,
            "unexpected_percent_total": share,
            "partial_unexpected_list": page_text(list(outcome.samples)),
        }
    return ExpectationValidationResult(
        success=outcome.passed,
        expectation_config=ExpectationConfiguration(
            type=expectation.type, kwargs=page_text(dict(expectation.kwargs)), meta={}
        ),
        result=result,
        exception_info={"raised_exception": False, "exception_message": None, "exception_traceback": None},
        meta={},
    )
