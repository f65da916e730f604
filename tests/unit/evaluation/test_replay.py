"""The prediction log, answered again by a challenger."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from support.evaluating import PASSED, challenger_of
from support.training import UNTIL, a_spec, data_of, rows_of

from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.evaluate import evaluate
from everfit.tasks.evaluation.measurement import Incumbent
from everfit.tasks.gate import Check, decide
from everfit.tasks.gate.checks.replay import Replay
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.label_recording import record_labels
from everfit.tasks.predictions.labels import label_rows
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.storage.tables import KEY
from everfit.tasks.training.results import Fitted, read_model
from everfit.tasks.training.train import fit_on

REPLAY = {"replay": {"days": 20, "max_changed": 0.5, "max_loss": 0.2}}


def logged(data: TrainingData, champion: Fitted, until: datetime) -> int:
    """Log the champion's answers to the rows of fifteen days; return how many of them are in the log."""
    rows = data.rows(Window(since=until - timedelta(days=15), until=until), "predict")
    inputs = InputSchema.of_frame(rows, task=data.spec.task, features=champion.features)
    scores = Scorer(read_model(champion, data.workspace), inputs).score(rows[list(champion.features)])
    frame = rows[[KEY, "at", *champion.features]].assign(
        **scores.columns(),
        **{
            prediction_log.PREDICTION_ID: [f"p{number}" for number in range(len(rows))],
            prediction_log.PREDICTED_AT: rows["at"],
            prediction_log.MODEL_VERSION: 1,
            prediction_log.ARM: "champion",
            prediction_log.DAY: rows["at"].dt.date,
        },
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    prediction_log.append(data.workspace.table(data.spec.name, "predictions"), table, "test")
    return len(rows)


def labelled(data: TrainingData) -> None:
    """Record the labels of all rows as they are in the source."""
    rows = data.rows(Window(until=UNTIL), "label")
    found = label_rows(rows[KEY], rows["y"], rows["known_at"], data.spec.task, "source")
    record_labels(data.workspace.table(data.spec.name, "labels"), found)


def replayed(
    folder: Path, task: str, *, same: bool = False, labels: bool = False, log_until: datetime = UNTIL
) -> tuple[Replay | None, Sequence[Check], int]:
    data = data_of(a_spec(task, gate=REPLAY), rows_of(task), folder)
    path = data.workspace.turn_file("small", "t", "champion.skops")
    candidate = data.spec.training.candidates[0]
    until = data.split.training.until if same else UNTIL - timedelta(days=45)
    champion = fit_on(data, candidate, Window(until=until), path)
    version = ModelVersion(model="small", version=1, run_id="r", trained_until=until)
    rows = logged(data, champion, log_until)
    if labels:
        labelled(data)
    challenger = champion if same else challenger_of(data)
    evidence = evaluate(data, challenger, Incumbent(version, read_model(champion, data.workspace)), PASSED)
    checks = [check for check in decide(evidence, data.spec.gate).checks if check.name.startswith("replay")]
    return evidence.area("replay", Replay), checks, rows


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_log_is_answered_again_and_compared(task: str, tmp_path: Path) -> None:
    found, checks, rows = replayed(tmp_path, task)
    assert found is not None
    assert found.rows == rows
    assert 0 < found.changed < 0.5
    assert 0 < found.mean_change <= found.large_change
    assert [(check.name, check.passed) for check in checks] == [
        ("replay", True),
        ("replay changed", True),
        ("replay loss", True),
    ]
    # No label was recorded: the turn has read them from the source.
    assert found.comparison is not None
    assert 100 < found.comparison.rows == found.labelled < rows


def test_without_a_row_that_neither_was_trained_on_the_loss_is_not_known_and_does_not_pass(tmp_path: Path) -> None:
    found, checks, _ = replayed(tmp_path, "binary", log_until=UNTIL - timedelta(days=14, hours=1))
    assert found is not None
    assert found.labelled == 0
    assert [(check.name, check.passed) for check in checks][-1] == ("replay loss", False)
    assert "too few of them have a label" in checks[0].reason


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_rows_with_labels_are_compared_in_pairs(task: str, tmp_path: Path) -> None:
    found, checks, rows = replayed(tmp_path, task, labels=True)
    assert found is not None
    assert found.comparison is not None
    # The challenger has learned until 14 days before; the log begins earlier.
    assert 100 < found.comparison.rows == found.labelled < rows
    assert [check.passed for check in checks] == [True] * 3
    assert f"on {found.labelled:,} of them with a label" in checks[0].reason


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_same_model_changes_nothing(task: str, tmp_path: Path) -> None:
    found, _, _ = replayed(tmp_path, task, same=True)
    assert found is not None
    assert found.changed == pytest.approx(0.0, abs=1e-12)
    assert found.large_change == pytest.approx(0.0, abs=1e-12)


def test_without_a_log_nothing_is_known_and_nothing_passes(tmp_path: Path) -> None:
    data = data_of(a_spec(gate=REPLAY), rows_of(), tmp_path)
    champion = challenger_of(data)
    version = ModelVersion(model="small", version=1, run_id="r", trained_until=data.split.training.until)
    incumbent = Incumbent(version, read_model(champion, data.workspace))
    decision = decide(evaluate(data, champion, incumbent, PASSED), data.spec.gate)
    [check] = [check for check in decision.checks if check.name == "replay"]
    assert not check.passed
    assert "was not measured" in check.reason
