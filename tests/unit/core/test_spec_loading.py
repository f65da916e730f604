"""A spec as a person writes it: what is read, and what is said of a mistaken key."""

import pytest

from everfit.blocks.errors import SpecError
from everfit.tasks.core.spec_loading import read_spec

SPEC = """
name: sales
task: binary
source: {path: sales.csv, null_values: [NO]}
columns: {target: late}
"""


def test_a_key_named_on_is_a_key_and_only_true_and_false_are_that() -> None:
    spec = read_spec(SPEC + "retraining: {on: drift, code: true}\ntraining: {refit: no}", "sales.yaml")

    assert (spec.retraining.on, spec.retraining.code, spec.training.refit) == ("drift", True, False)
    assert spec.source.null_values == ("NO",)


@pytest.mark.parametrize(
    ("mistaken", "told"),
    [
        ("gate: {slices: {column: [x]}}", "gate.slices.column: there is no such key; did you mean 'columns'?"),
        ("monitoring: {columns: {a: {ignor: true}}}", "columns.a.ignor: there is no such key; did you mean 'ignore'?"),
        ("training: {search: {spaces: {ridge: {alpha: {hig: 1}}}}}", "alpha.hig: .*did you mean 'high'?"),
        ("expectations: {suite: [{type: expect_x, kwarg: {}}]}", "suite.0.kwarg: .*did you mean 'kwargs'?"),
        ("retraining: {worth: {xyz: 1}}", "worth.xyz: there is no such key; known are unit, per_metric_unit"),
        ("source: {path: x, formt: csv}", "formt: there is no such key; did you mean 'format'?"),
        (
            "source: {kind: sql, url: x, table: y, lookbak: 1d}",
            "lookbak: there is no such key; did you mean 'lookback'?",
        ),
        ("source: {kind: http, url: 'https://x', paging: {kind: page, frst: 1}}", "frst: .*did you mean 'first'?"),
    ],
)
def test_a_mistaken_key_is_told_with_what_was_meant(mistaken: str, told: str) -> None:
    key = mistaken.partition(":")[0]
    rest = "\n".join(line for line in SPEC.splitlines() if not line.startswith(f"{key}:"))

    with pytest.raises(SpecError, match=told.replace("?", r"\?")):
        read_spec(f"{rest}\n{mistaken}", "sales.yaml")
