"""The rows of a person are gone from everything that is kept, and it is on record that they are."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from support.stories import APRIL, Story
from support.turns import sales

from everfit.blocks.errors import ArtifactError, BusyError, SpecError
from everfit.tasks.batch.label_collection import record_source_labels
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.data.expectation_results import ExpectationResult
from everfit.tasks.data.validate import Validation
from everfit.tasks.ledger.chain_check import check_chain
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.models.skops_format import dump_model, trusted_types
from everfit.tasks.monitoring.reference import SAMPLE_FILE
from everfit.tasks.predictions import label_recording, labels
from everfit.tasks.registry import model_files, model_registry, tracking
from everfit.tasks.registry.artifact_records import record_artifacts
from everfit.tasks.retention.key_deletion import allow_key_again, delete_key
from everfit.tasks.storage.deleted_keys import read_deleted_keys
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import KEY
from everfit.tasks.turns.turn_record import TurnRecord

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture(name="story")
def _with_a_broken_delivery(story: Story) -> Story:
    """Sale 3 changed in March; sale 1999 came in April and is in quarantine too, as a later delivery was broken."""
    bound = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "max_value": 100}}
    story.write_spec(expectations={"suite": [bound]})
    broken = sales(2_000)
    broken.loc[1_999, "price"] = 5_000.0
    story.write("sales.csv", broken)
    story.turn(datetime(2024, 4, 2, tzinfo=UTC), "quarantining")
    rows = pd.DataFrame({"id": [3, 4]})
    keys = row_keys(rows, ["id"])
    known = pd.Series([APRIL, APRIL])
    label_recording.record_labels(
        story.workspace.table("sales", "labels"),
        labels.label_rows(keys, pd.Series([1.0, 2.0]), known, "regression", "source"),
    )
    return story


def everything(story: Story) -> list[str]:
    """The ids in all files of rows, past states and staged ones included."""
    found: list[str] = []
    for path in Path(story.workspace.uri, "sales").rglob("*.parquet"):
        if "_delta_log" in path.parts or path.name.endswith(".bad.parquet"):
            continue
        table = pq.ParquetFile(path).read()
        if "id" in table.column_names:
            found += [str(value) for value in table["id"].to_pylist()]
        if "_row" in table.column_names:
            found += [str(json.loads(text)["id"]) for text in table["_row"].to_pylist()]
    return found


@pytest.mark.parametrize(("gone", "kept"), [("3", "4"), ("1999", "1998")])
def test_no_row_of_the_key_is_left_anywhere(story: Story, gone: str, kept: str):
    assert gone in everything(story)
    first, second, third = (turn.id for turn in story.context.ledger.turns.of("sales"))

    done = delete_key(story.context, [gone], NOW, "ann")
    again = delete_key(story.context, [f"id={gone}"], datetime(2024, 5, 2, tzinfo=UTC), "ann")

    left = everything(story)
    assert gone not in left
    assert kept in left
    assert len(story.dataset()) == 1_999
    assert done.rows["labels"] == (gone == "3")
    assert done.rows["quarantine"] == (gone == "1999")
    assert done.ended == ((first, second, third) if gone == "3" else (third,))
    assert not again.found_any
    assert (again.ended, again.broken_turns) == ((), done.broken_turns)
    decisions = story.context.ledger.decisions.of("sales", kind="forget")
    assert [one.verdict for one in decisions] == ["removed", "nothing found"]
    assert decisions[0].record["request"] == decisions[1].record["request"]


def test_the_sample_that_monitoring_compares_with_forgets_too(story: Story, tmp_path: Path):
    client = mlflow.MlflowClient()
    run = client.create_run(client.create_experiment("sales", artifact_location=(tmp_path / "runs").as_uri()))
    sample = sales(10).assign(**{KEY: row_keys(sales(10), ["id"])})
    (tmp_path / "reference").mkdir()
    sample.to_parquet(tmp_path / SAMPLE_FILE, index=False)
    client.log_artifact(run.info.run_id, str(tmp_path / SAMPLE_FILE), "reference")
    with story.context.ledger.turns.take("sales", *story.another_turn()) as turn:
        version = ModelVersion(model="sales", version=1, run_id=run.info.run_id, trained_until=APRIL)
        story.context.ledger.turns.finish(turn, state="ChampionKept", record=TurnRecord(version=version))

    done = delete_key(story.context, ["id=3"], NOW, "ann")

    assert done.references == 1
    left = pd.read_parquet(client.download_artifacts(run.info.run_id, SAMPLE_FILE))
    assert sorted(left["id"]) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_no_example_of_a_value_is_left_in_the_records_of_validations(story: Story):
    here, client = story.context, mlflow.MlflowClient()
    found = ExpectationResult(
        expectation="price is at most 100",
        passed=False,
        unexpected=1,
        counted=10,
        observed="1 of 10 (10.0%), such as 5000.25",  # as everfit 0.2 wrote it
        samples=("5000.25",),
    )
    validation = Validation(
        passed=False,
        rows=10,
        bad_rows=1,
        reasons=(f"{found.expectation}: {found.observed}",),
        outcomes=(found,),
        suite_inferred=False,
    )
    record = TurnRecord(validation=validation)
    with here.ledger.turns.take("sales", *story.another_turn()) as turn:
        here.ledger.turns.finish(turn, state="DataRejected", reasons=validation.reasons, record=record)
    staged = here.workspace.file("sales", "turns", turn.id, "batch", "validation.json")
    here.workspace.write(staged, validation.canonical_json().encode())
    run = tracking.turn_run(client, here.settings, "sales", turn.id)
    client.log_dict(run, record.model_dump(mode="json"), "turn.json")
    client.log_text(run, "<td>5000.25</td>", "validation.html")
    page = here.workspace.file("pages", "sales", "prediction", "one.html")
    here.workspace.write(page, b"5000.25")

    done = delete_key(here, ["id=3"], NOW, "ann")
    again = delete_key(here, ["id=3"], NOW + timedelta(days=1), "ann")

    assert (done.validations, again.validations) == (1, 0)
    kept = here.ledger.turns.get(turn.id)
    logged = [Path(client.download_artifacts(run, name)).read_text() for name in ("turn.json", "validation.html")]
    texts = [str(kept), here.workspace.read(staged).decode(), *logged]
    assert not any("5000.25" in text for text in texts)
    assert list(kept.reasons) == ["price is at most 100: 1 of 10 (10.0%)"]
    assert TurnRecord.recall(kept.record).validation == validation.model_copy(
        update={
            "reasons": tuple(kept.reasons),
            "outcomes": (found.model_copy(update={"observed": "1 of 10 (10.0%)", "samples": ()}),),
        }
    )
    assert not here.workspace.exists(page)
    assert check_chain(here.ledger.store, "sales").problems == ()


def test_a_turn_that_was_killed_goes_on_without_the_row(story: Story):
    rows = sales(2_100)
    story.write("sales.csv", rows)
    until = datetime(2024, 5, 1, tzinfo=UTC)
    turn_id = story.break_off(until)

    done = delete_key(story.context, ["2050"], NOW, "ann")
    story.finish(turn_id, until)

    assert done.staged == 1
    assert set(story.dataset()["id"]) == set(range(2_100)) - {2_050}


def test_what_names_no_key_is_refused_and_a_running_turn_is_not_disturbed(story: Story):
    with pytest.raises(SpecError, match=r"'shop' is not a column of the key, which is id; write --key COLUMN=VALUE"):
        delete_key(story.context, ["shop=north"], NOW, "ann")
    with story.context.ledger.leases.hold("sales"), pytest.raises(BusyError, match="is busy"):
        delete_key(story.context, ["3"], NOW, "ann")


def test_a_source_that_is_read_again_does_not_bring_the_row_back(story: Story):
    delete_key(story.context, ["1990"], NOW, "ann")
    again = sales(2_000)
    again["price"] += 1.0

    story.write("sales.csv", again)
    batch, _ = story.turn(datetime(2024, 5, 2, tzinfo=UTC), "read-again")

    assert (batch.read, batch.changed) == (720, 720)  # of the look-back
    assert "1 rows are left out, because the deletion of their key was requested" in batch.notes
    assert 1_990 not in set(story.dataset()["id"])
    assert "1990" not in everything(story)
    collected, _ = record_source_labels(story.context, Window(until=datetime(2024, 5, 3, tzinfo=UTC)))
    assert collected.added > 1_000
    assert row_keys(pd.DataFrame({"id": [1_990]}), ["id"])[0] not in set(
        story.workspace.table("sales", "labels").read()[KEY]
    )

    assert allow_key_again(story.context, ["1990"], NOW, "ann")
    story.write("sales.csv", again.assign(price=again["price"] + 1.0))
    story.turn(datetime(2024, 5, 4, tzinfo=UTC), "allowed")
    assert 1_990 in set(story.dataset()["id"])
    assert not allow_key_again(story.context, ["1990"], NOW, "ann")


def test_labels_whose_key_has_another_type_are_deleted_and_refused_too(story: Story):
    table = story.workspace.table("sales", "labels")
    texts = row_keys(pd.DataFrame({"id": ["3", "4"]}), ["id"])
    given = labels.label_rows(texts, pd.Series([1.0, 2.0]), pd.Series([APRIL, APRIL]), "regression", "by hand")
    label_recording.record_labels(table, given)

    done = delete_key(story.context, ["3"], NOW, "ann")

    assert done.rows["labels"] == 2
    later = given.assign(_label_time=pd.Timestamp(NOW))
    counted = label_recording.record_labels(table, later, read_deleted_keys(story.workspace, "sales"))
    assert (counted.read, counted.deleted) == (2, 1)
    assert set(texts) & set(table.read()[KEY]) == {texts[1]}


def test_the_examples_of_earlier_versions_are_made_up_and_still_verified(story: Story, tmp_path: Path):
    here = story.context
    rows, features = sales(50), ["price", "shop"]
    rows.loc[3, "price"] = 47.123
    schema = InputSchema.of_frame(rows, task="regression", features=features, key=["id"], event_time="at")
    pipeline = make_pipeline(
        ColumnTransformer([("shop", OneHotEncoder(), ["shop"])], remainder="passthrough"), LinearRegression()
    ).fit(rows[features], rows["y"])
    mlflow.sklearn.save_model(
        pipeline,
        tmp_path / "old",
        serialization_format="skops",
        skops_trusted_types=trusted_types(dump_model(pipeline)),
        signature=mlflow.models.infer_signature(rows[features]),
        input_example=rows[features].head(5),
        pip_requirements=["scikit-learn"],
        metadata=schema.metadata(),
    )
    run = here.mlflow.create_run(here.mlflow.create_experiment("sales", artifact_location=tmp_path.as_uri()))
    number = int(here.mlflow.create_model_version("sales", (tmp_path / "old").as_uri(), run.info.run_id).version)
    version = model_registry.model_version(here.mlflow, "sales", number)
    record_artifacts(here.mlflow, here.ledger, here.workspace, version, actor="test", reason="registered")
    paths = [tmp_path / "old" / name for name in ("input_example.json", "serving_input_example.json")]
    assert all("47.123" in path.read_text() for path in paths)

    done = delete_key(here, ["3"], NOW, "ann")
    again = delete_key(here, ["3"], NOW + timedelta(days=1), "ann")

    assert (done.examples, again.examples) == (1, 0)
    assert all(problem.startswith(("version 1:", "version 2:", "version 3:")) for problem in done.examples_left)
    assert not any("47.123" in path.read_text() for path in paths)
    model_files.probe(here.mlflow, here.ledger, version)
    assert [(one.seq, one.actor) for one in here.ledger.artifacts.history(version)] == [(1, "test"), (2, "ann")]
    paths[0].write_text("{}")
    with pytest.raises(ArtifactError, match=r"input_example\.json' has SHA-256"):
        model_files.check(here.mlflow, here.ledger, version)
    assert "was recorded" in delete_key(here, ["3"], NOW + timedelta(days=2), "ann").examples_left[-1]
