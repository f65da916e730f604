"""Files are named by their place in MLflow, and each way to differ from a record is reported."""

from pathlib import Path

from everfit.tasks.models.artifacts import (
    changed_files_error,
    copy_digests,
    differences,
    needed_to_predict,
    overall_digest,
)


def test_a_copy_names_the_files_of_the_model_and_those_of_its_run(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("MLmodel", "data/part", "outliers.json", "model.onnx", "registered_model_meta"):
        (tmp_path / name).write_text(name)

    assert sorted(copy_digests(tmp_path)) == [
        "converted/model.onnx",
        "model/MLmodel",
        "model/data/part",
        "reference/outliers.json",
    ]


def test_changed_missing_and_added_files_are_reported() -> None:
    recorded = {"model/MLmodel": "a" * 64, "model/model.skops": "b" * 64}

    assert differences(recorded, recorded) == []
    assert differences({"model/MLmodel": "c" * 64, "model/more": "d" * 64}, recorded) == [
        "'model/MLmodel' has SHA-256 cccccccccccc…, and aaaaaaaaaaaa… was recorded",
        "'model/model.skops' is missing",
        "'model/more' was added",
    ]


def test_one_digest_counts_the_files_that_a_version_predicts_with() -> None:
    files = {"model/MLmodel": "a", "reference/outliers.json": "b", "reference/sample.parquet": "c"}

    assert sorted(needed_to_predict(files)) == ["model/MLmodel", "reference/outliers.json"]
    assert overall_digest(files) == overall_digest({**files, "reference/sample.parquet": "d"})
    assert overall_digest(files) != overall_digest({**files, "model/MLmodel": "d"})


def test_a_refusal_says_what_happened_which_files_and_what_to_do() -> None:
    said = changed_files_error("flights", 3, ["'a' is missing", "'b' is missing", "'c' is missing", "'d' is missing"])

    assert "version 3 of 'flights'" in said
    assert "'a' is missing; 'b' is missing; 'c' is missing; and 1 more" in said
    assert "everfit verify flights" in said
