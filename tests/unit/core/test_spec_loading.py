"""A spec as a person writes it: what is read, and what is said of a mistaken key."""

import re
from pathlib import Path

import pytest

from everfit.blocks.content import SpecContent
from everfit.blocks.errors import SpecError
from everfit.tasks.core.spec_keys import RENAMED, with_current_keys
from everfit.tasks.core.spec_loading import load_spec, read_spec, spec_files

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
    ("mistaken", "sentence"),
    [
        ("gate: {slices: {column: [x]}}", "gate.slices.column: there is no such key; did you mean 'columns'?"),
        ("monitoring: {columns: {a: {ignor: true}}}", "columns.a.ignor: there is no such key; did you mean 'ignore'?"),
        ("training: {search: {spaces: {ridge: {alpha: {hig: 1}}}}}", "alpha.hig: .*did you mean 'high'?"),
        ("expectations: {suite: [{type: expect_x, kwarg: {}}]}", "suite.0.kwarg: .*did you mean 'kwargs'?"),
        ("retraining: {cost_benefit: {xyz: 1}}", "cost_benefit.xyz: there is no such key; known are unit, value_per"),
        ("source: {path: x, formt: csv}", "formt: there is no such key; did you mean 'format'?"),
        (
            "source: {kind: sql, url: x, table: y, lookbak: 1d}",
            "lookbak: there is no such key; did you mean 'lookback'?",
        ),
        ("source: {kind: http, url: 'https://x', paging: {kind: page, frst: 1}}", "frst: .*did you mean 'first'?"),
    ],
)
def test_a_mistaken_key_is_told_with_what_was_meant(mistaken: str, sentence: str) -> None:
    key = mistaken.partition(":")[0]
    rest = "\n".join(line for line in SPEC.splitlines() if not line.startswith(f"{key}:"))

    with pytest.raises(SpecError, match=sentence.replace("?", r"\?")):
        read_spec(f"{rest}\n{mistaken}", "sales.yaml")


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("columns:\n  target: late\n  ignore:", "columns.ignore: nothing is written there; write a value, or remove"),
        ("training:", "training: nothing is written there"),
        ("columns: {target: late, any_spelling: [shop, ]}\nmaturity:", "maturity: nothing is written there"),
        ("columns: {target: late, key: id}", "columns.key: 'id': write a list, such as \\[a, b\\]"),
        ("columns: {target: late, key: [7]}", "columns.key.0: 7: write a text, in quotes"),
        ("gate: []", "gate: \\[\\]: write keys below it"),
    ],
)
def test_an_empty_key_and_a_value_of_another_type_are_told_in_words_of_the_spec(written: str, sentence: str) -> None:
    """Given what is left of a list whose entries were deleted, when the spec is read, then the way out is named."""
    own = {line.partition(":")[0] for line in written.splitlines()}
    rest = "\n".join(line for line in SPEC.splitlines() if line.partition(":")[0] not in own)

    with pytest.raises(SpecError, match=sentence):
        read_spec(f"{rest}\n{written}\n", "sales.yaml")


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("name: returns", "sales.yaml: name: the key is written in line 2 and again in line 6; remove one of them"),
        ("gate:\n  min_rows: 3\n  min_rows: 3", "min_rows: the key is written in line 7 and again in line 8"),
        ('gate: {min_rows: 3, "min_rows": 4}', "min_rows: the key is written twice in line 6"),
        ("joins: [{source: {path: x, path: y}}]", "path: the key is written twice in line 6"),
    ],
)
def test_a_key_that_is_written_twice_is_an_error(written: str, sentence: str) -> None:
    with pytest.raises(SpecError, match=re.escape(sentence)):
        read_spec(f"{SPEC}{written}\n", "sales.yaml")


def test_a_key_of_a_merged_mapping_may_be_written_again() -> None:
    merged = "{columns: {a: &shared {ignore: true}, b: {<<: *shared, ignore: false}, c: {<<: *shared}}}"

    columns = read_spec(f"{SPEC}monitoring: {merged}\n", "sales.yaml").monitoring.columns

    assert [columns[name].ignore for name in "abc"] == [True, False, True]


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_key_of_version_0_1_is_an_error_that_names_the_new_one(old: str, new: str) -> None:
    content = "1"
    for key in reversed(old.split(".")):
        content = f"{{{key}: {content}}}"
    nested = any(old.startswith(f"{outer}.") for outer in RENAMED)  # the outer key is refused first

    with pytest.raises(SpecError, match="since version 0.2" if nested else f"it is called '{new}' since version 0.2"):
        read_spec(f"{SPEC}\n{content[1:-1]}", "sales.yaml")


def test_a_spec_that_version_0_1_stored_is_read_under_the_keys_of_today() -> None:
    kept = {
        "name": "sales",
        "task": "binary",
        "source": {"path": "sales.csv"},
        "columns": {"target": "late"},
        "gate": {"too_small": "extend", "slices": {"too_few": "tell"}},
        "monitoring": {"quality": {"missing_jump": 0.3}, "operations": {"max_p99_ms": 50}, "alpha": 0.1},
        "retraining": {"worth": {"per_metric_unit": 2.5}},
        "release": {"bake_time": "1d", "canary": {"bake_time": "2d"}},
    }

    spec = SpecContent.model_validate(with_current_keys(kept))

    assert (spec.gate.small_holdout, spec.gate.slices and spec.gate.slices.small_slices) == ("extend", "report")
    assert (spec.monitoring.data_quality.missing_jump, spec.monitoring.service_health.max_p99_ms) == (0.3, 50)
    assert spec.retraining.cost_benefit is not None
    assert spec.retraining.cost_benefit.value_per_metric_unit == 2.5
    assert (spec.release.rollback_within.days, spec.release.canary.bake_time.days) == (1, 2)
    assert "too_small" in kept["gate"]


@pytest.mark.parametrize(
    ("task", "columns", "problem"),
    [
        ("binary", "ignore: [shop], any_spelling: [shop]", "'shop' is ignored, free text or a time"),
        ("regression", "any_spelling: [late]", "'late' is the target, a number"),
    ],
)
def test_a_column_without_spellings_has_not_any_spelling(task: str, columns: str, problem: str) -> None:
    content = SPEC.replace("binary", task).replace("{target: late}", f"{{target: late, {columns}}}")

    with pytest.raises(SpecError, match=problem):
        read_spec(content, "sales.yaml")


def test_the_source_need_not_have_texts_and_spellings_that_a_join_brings() -> None:
    columns = "{key: [id], event_time: at, target: late, text: [note], any_spelling: [shop, id]}"
    join = "\njoins: [{source: {path: notes.csv}, on: id, as_of: at, columns: [note, shop]}]"

    spec = read_spec(SPEC.replace("{target: late}", columns) + join, "sales.yaml")

    assert spec.own_columns.named() == ("id", "at", "late")
    assert spec.joined_columns.any_spelling == ("shop", "id")


def test_a_new_key_changes_no_spec_that_does_not_set_it() -> None:
    """A changed digest counts as a changed spec: each model would be trained again, on rows that it knows."""
    spec = SpecContent.model_validate(
        {"name": "sales", "task": "binary", "source": {"path": "sales.csv"}, "columns": {"target": "late"}}
    )
    digest = "ac38060b58f3af4621bc49d135093485917139e78157ddbc3cd585aa316ecfa2"

    assert spec.digest() == digest, "give the field of a new key `exclude_if=lambda value: value == DEFAULT`"


def test_a_project_without_specs_has_none_and_a_folder_without_a_project_has_those_of_everfit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "flight-delays" in [path.stem for path in spec_files()]

    Path("deployments").mkdir()
    Path("deployments/prefect.yaml").write_text("name: shop\npull: []\n")
    assert spec_files() == []  # git keeps no empty folder, so `deployments/models` is gone with its last spec


def test_a_name_finds_the_spec_of_the_working_folder_and_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sales.yaml").write_text(SPEC)
    Path("compose.yaml").write_text("services: {}")
    assert load_spec("sales", stored=False).name == "sales"
    with pytest.raises(SpecError, match="there is no spec 'compose' here or in deployments/models"):
        load_spec("compose", stored=False)

    Path("deployments/models").mkdir(parents=True)
    Path("deployments/models/sales.yaml").write_text(SPEC.replace("name: sales", "name: sales\nowner: ann"))
    assert load_spec("sales", stored=False).owner == "ann", "a deployed spec counts first"
