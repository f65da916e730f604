"""Tables as people have them and worse, through the loop: each row is accounted for, and each refusal is one sentence.

A table has odd names, types, sizes, gaps, duplicates and orders. It goes through init, ingestion, training,
registration, release, scoring, labels, forgetting and trace, in this process and without Prefect. An error that is none
of everfit's own, or has several lines, is a broken invariant; so is a row that is lost or counted twice.
"""

import io
import os
import shutil
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from campaign.odd_tables import OddTable, visit_drawn, written
from campaign.tally import Tally
from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.deployments.init.init import init
from everfit.tasks.batch.manual_files import record_label_file, score_file
from everfit.tasks.batch.trace import trace_prediction
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.data.commit import commit_batch, take_snapshot
from everfit.tasks.data.cut import cut
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.split import TrainingData
from everfit.tasks.data.validate import validate
from everfit.tasks.evaluation.evaluate import evaluate
from everfit.tasks.evaluation.report import make_report
from everfit.tasks.gate import decide
from everfit.tasks.monitoring import reference
from everfit.tasks.registry import artifact_records, registration, tracking
from everfit.tasks.release import release as releasing
from everfit.tasks.retention.key_deletion import delete_key
from everfit.tasks.training import train
from everfit.tasks.training.prequential import fit_prequentially
from everfit.tasks.turns.context import Context

UNTIL = datetime(2030, 1, 1, tzinfo=UTC)


def run_tables(folder: Path, seed: int, count: int) -> Tally:
    """Take odd tables through the loop.

    Args:
        folder: Empty folder.
        seed: Decides on the tables.
        count: Number of tables.
    """
    tally = Tally()
    variables = {
        "EVERFIT_WORKSPACE": str(folder / "workspace"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'workspace' / 'mlflow.db'}",
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ |= variables
    (folder / "workspace").mkdir()

    def visit(table: OddTable) -> None:
        number = tally.done["tables"]
        tally.done["tables"] += 1
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            _Journey(table, folder / f"t{number}", f"t-{number}", f"seed {seed}, table {number}", tally).run()
        shutil.rmtree(folder / f"t{number}", ignore_errors=True)

    try:
        visit_drawn(seed, count, visit)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return tally


class _Journey:
    """One table's way through the loop."""

    def __init__(self, table: OddTable, folder: Path, name: str, where: str, tally: Tally) -> None:
        self.table, self.folder, self.name, self.where, self.tally = table, folder, name, where, tally

    def run(self) -> None:
        """Take the steps until one of them refuses."""
        self.folder.mkdir()
        path = written(self.table, self.folder)
        if path is None:
            self.tally.done["tables that their format can't hold"] += 1
            return
        spec = self._step("init", lambda: self._spec(path))
        if spec is None:
            spec = self._step("spec", lambda: self._plain_spec(path))
        if spec is None:
            return
        context = Context(spec, Settings())
        if self._step("ingest", lambda: self._ingest(context, "1")) and self._step(
            "again", lambda: self._ingest(context, "2")
        ):
            data = self._step("cut", lambda: self._data(context))
            trained = None if data is None else self._step("train", lambda: self._train(context, data))
            if trained is not None:
                self._step("score", lambda: self._score(context, path))
                self._step("label", lambda: record_label_file(context, str(path), origin="file", now=UNTIL))
                self._step("forget", lambda: self._forget(context))

    def _step(self, name: str, take: Callable[[], Any]) -> Any:
        try:
            result = take()
        except EverfitError as error:
            self.tally.done[f"refused by {name}"] += 1
            if "\n" in str(error) or len(str(error)) > 1_500:
                self._broke(f"{name} refuses in {str(error)!r:.2000}")
            return None
        except AssertionError as error:
            self._broke(f"{name}: {error}")
            return None
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            self._broke(f"{name} raised {type(error).__name__}: {str(error)!r:.300} {_place(error)}")
            return None
        self.tally.done[name] += 1
        return result

    def _broke(self, problem: str) -> None:
        self.tally.broken.append(f"{self.where}: {problem} on {self.table}")

    def _spec(self, path: Path) -> ModelSpec:
        table = self.table
        given: dict[str, Any] = {"key": table.key, "event_time": table.event_time} if table.named else {}
        found = init(str(path), table.target, name=self.name, output=self.folder / "spec.yaml", **given)
        return load_spec(found["path"])

    def _plain_spec(self, path: Path) -> ModelSpec:
        content = {
            "name": self.name,
            "task": self.table.task,
            "source": {"kind": "files", "path": str(path)},
            "columns": {
                "key": [name.lstrip("_") for name in self.table.key],
                "event_time": self.table.event_time and self.table.event_time.lstrip("_"),
                "target": self.table.target.lstrip("_"),
            },
            "training": {"candidates": ["ridge" if self.table.task == "regression" else "logistic_regression"]},
        }
        (self.folder / "plain.yaml").write_text(yaml.safe_dump(content, allow_unicode=True))
        return load_spec(str(self.folder / "plain.yaml"))

    def _ingest(self, context: Context, turn: str) -> bool:
        """Read, check and take in; rows in are dataset, quarantine and duplicates."""
        spec, workspace = context.spec, context.workspace
        before, aside = _count(context, "dataset"), _count(context, "quarantine")
        batch = ingest(spec, UNTIL, f"{self.name}-{turn}", workspace)
        validation = validate(spec, batch, workspace)
        commit_batch(spec, batch, validation, workspace)
        if turn == "1":
            assert batch.read == len(self.table.frame), f"{batch.read} of {len(self.table.frame)} rows were read"
        assert batch.read == validation.accepted + validation.quarantined + batch.duplicates, (
            "rows are not accounted for"
        )
        taken = _count(context, "dataset") - before
        assert validation.accepted - batch.changed <= taken <= validation.accepted, "the dataset has other rows"
        assert _count(context, "quarantine") - aside == validation.quarantined, "quarantine has other rows"
        return bool(validation.passed)

    def _data(self, context: Context) -> TrainingData:
        spec, workspace = context.spec, context.workspace
        parts = cut(spec, workspace.table(spec.name, "dataset"), UNTIL)
        return TrainingData(spec, take_snapshot(spec, parts.whole, workspace), parts, UNTIL, workspace)

    def _train(self, context: Context, data: TrainingData) -> bool:
        """Train, judge, register and release, whatever the gate says."""
        spec, client, ledger = context.spec, context.mlflow, context.ledger
        candidate = "ridge" if spec.task == "regression" else "logistic_regression"
        results = (train.try_candidate(data, candidate),)
        fitted = fit_prequentially(data, results, context.workspace.turn_file(spec.name, "t", "challenger.skops"))
        validation = validate(spec, ingest(spec, UNTIL, f"{self.name}-2", context.workspace), context.workspace)
        evidence = evaluate(data, fitted, None, validation)
        decide(evidence, spec.gate)
        make_report(data, fitted, evidence.holdout, evidence.calibration)
        with ledger.turns.take(spec.name, Trigger(), Window(until=UNTIL)) as turn:
            run_id = tracking.turn_run(client, context.settings, spec.name, turn.id)
            reference.log_reference(client, run_id, reference.make_reference(data, fitted, fitted, evidence.holdout))
            version = registration.register_model(client, run_id, data, fitted, turn_id=turn.id, description="")
            artifact_records.record_artifacts(
                client, ledger, context.workspace, version, actor="campaign", reason="registered"
            )
            releasing.release(
                ledger,
                client,
                spec.name,
                version.version,
                expected_previous=None,
                reason="",
                actor="gate",
                turn=turn,
                policy=spec.release,
            )
        return True

    def _score(self, context: Context, path: Path) -> None:
        scored = score_file(context, str(path))
        predicted = context.workspace.table(context.spec.name, "predictions")
        log = predicted.read() if predicted.exists() else pd.DataFrame()
        assert len(log) == scored.added, f"{scored.added} predictions were added, and the log has {len(log)}"
        assert scored.added + scored.aside.count <= len(self.table.frame), "a row was predicted twice"
        if len(log):
            trace_prediction(
                str(log["_prediction_id"].iloc[0]),
                context.spec.name,
                predicted=predicted,
                labelled=context.workspace.table(context.spec.name, "labels"),
                ledger=context.ledger,
                client=context.mlflow,
            )

    def _forget(self, context: Context) -> None:
        key = context.spec.columns.key
        rows = context.workspace.table(context.spec.name, "dataset").read()
        if key and len(rows):
            delete_key(context, [f"{name}={rows[name].iloc[0]}" for name in key], UNTIL, "campaign")


def _count(context: Context, table: str) -> int:
    found = context.workspace.table(context.spec.name, table)  # type: ignore[arg-type]
    return len(found.read()) if found.exists() else 0


def _place(error: BaseException) -> str:
    """Return the last line of everfit in a traceback."""
    import traceback

    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "everfit" in frame.filename]
    return f"({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
