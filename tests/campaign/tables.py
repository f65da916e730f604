"""Tables as people have them and worse, through the loop: each row is accounted for, and each refusal is one sentence.

A table has odd names, types, sizes, gaps, duplicates and orders. It goes through init, ingestion, training,
registration, release, scoring, labels, forgetting and trace, in this process and without Prefect. An error that is none
of everfit's own, or has several lines, is a broken invariant; so is a row that is lost or counted twice.
"""

import io
import os
import random
import shutil
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

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
NAMES = (
    "id",
    "amount",
    "at",
    "x y",
    "a`b",
    "naïve",
    "select",
    "a.b",
    "[c]",
    "sum(x)",
    "Größe",
    "📦",
    'q"uote',
    "_own",
    "0",
    "true",
    "index",
    "label",
    "score",
    "y/z",
    "100%",
    "{x}",
    "a;b",
    "a=b",
    "'single'",
    "tab\tbed",
    "N" * 90,
    "None",
    "key",
    "prediction",
    "window",
    "rows",
    "#",
    "-",
    "*",
    "?",
    "<b>",
    "=1+1",
    "model_version",
    "event_time",
    "date",
    "closed_at",
)
START = pd.Timestamp("2024-01-01")


@dataclass(frozen=True)
class OddTable:
    """A table with its roles.

    Attributes:
        frame: The rows.
        form: Ending of the file.
        key: Columns of the key.
        event_time: Column of the event time, or None.
        target: Column of the label.
        task: Kind of prediction.
        named: Whether the roles are given to init.
    """

    frame: pd.DataFrame
    form: str
    key: tuple[str, ...]
    event_time: str | None
    target: str
    task: str
    named: bool

    def __str__(self) -> str:
        kinds = {name: str(kind) for name, kind in zip(self.frame.columns, self.frame.dtypes, strict=True)}
        return (
            f"{len(self.frame)} rows of {kinds} as {self.form}, key {self.key}, event time {self.event_time!r}, "
            f"{self.task} target {self.target!r}"
        )


def _texts(rows: int, chance: random.Random) -> list[Any]:
    odd = [
        "",
        " ",
        "007",
        "NA",
        "ñ",
        "a\nb",
        "=1+1",
        "1,000",
        "TRUE",
        "x" * 500,
        "2024-01-01",
        "1e5",
        "'",
        '"',
        "nan",
        "-",
    ]
    return [chance.choice(odd) for _ in range(rows)]


def _times(rows: int, chance: random.Random) -> list[pd.Timestamp]:
    return [START + pd.Timedelta(minutes=chance.randrange(90 * 24 * 60)) for _ in range(rows)]


COLUMNS: dict[str, Callable[[int, random.Random], Any]] = {
    "small": lambda rows, chance: [chance.randrange(5) for _ in range(rows)],
    "number": lambda rows, chance: [chance.gauss(0, 1) for _ in range(rows)],
    "large": lambda rows, chance: [chance.choice([2**53 + 1, 2**63 - 1, -(2**63), 7]) for _ in range(rows)],
    "extreme": lambda rows, chance: [chance.choice([1e308, -1e308, 5e-324, -0.0, 1.0]) for _ in range(rows)],
    "infinite": lambda rows, chance: [chance.choice([float("inf"), 1.0, 2.0, float("nan")]) for _ in range(rows)],
    "boolean": lambda rows, chance: [chance.random() < 0.4 for _ in range(rows)],
    "maybe": lambda rows, chance: pd.array([chance.choice([True, False, None]) for _ in range(rows)], dtype="boolean"),
    "category": lambda rows, chance: pd.Categorical([chance.choice(["red", "blue", "grün"]) for _ in range(rows)]),
    "text": _texts,
    "prose": lambda rows, chance: [
        f"It was said {chance.random()} times, and then again and again" for _ in range(rows)
    ],
    "digits": lambda rows, chance: [f"{chance.randrange(10**6):06d}" for _ in range(rows)],
    "time": _times,
    "zoned": lambda rows, chance: pd.DatetimeIndex(_times(rows, chance)).tz_localize("Asia/Tokyo"),
    "written": lambda rows, chance: [at.strftime("%d.%m.%Y %H:%M") for at in _times(rows, chance)],
    "day": lambda rows, chance: [at.date() for at in _times(rows, chance)],
    "never": lambda rows, chance: [chance.choice(["9999-12-31", "2024-02-01", "0001-01-01"]) for _ in range(rows)],
    "duration": lambda rows, chance: pd.to_timedelta([chance.randrange(10**6) for _ in range(rows)], unit="s"),
    "nested": lambda rows, chance: [[chance.randrange(3)] * chance.randrange(3) for _ in range(rows)],
    "bytes": lambda rows, chance: [bytes([chance.randrange(256)]) for _ in range(rows)],
    "empty": lambda rows, _: [None] * rows,
    "constant": lambda rows, _: ["always"] * rows,
    "mixed": lambda rows, chance: [chance.choice(["a", "1", "2.5", "True", "2024-01-01"]) for _ in range(rows)],
}
TARGETS: dict[str, tuple[str, Callable[[int, random.Random], list[Any]]]] = {
    "yes and no": ("binary", lambda rows, chance: [chance.choice(["yes", "no"]) for _ in range(rows)]),
    "0 and 1": ("binary", lambda rows, chance: [int(chance.random() < 0.3) for _ in range(rows)]),
    "booleans": ("binary", lambda rows, chance: [chance.random() < 0.5 for _ in range(rows)]),
    "a rare class": ("binary", lambda rows, chance: [int(chance.random() < 0.02) for _ in range(rows)]),
    "one class": ("binary", lambda rows, _: [1] * rows),
    "three": ("multiclass", lambda rows, chance: [chance.choice(["a", "b", "c d"]) for _ in range(rows)]),
    "numbers": ("regression", lambda rows, chance: [chance.gauss(5, 2) for _ in range(rows)]),
    "a constant": ("regression", lambda rows, _: [3.5] * rows),
    "texts": ("multiclass", _texts),
}


@st.composite
def tables(draw: st.DrawFn) -> OddTable:
    """Draw a table."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    rows = draw(st.sampled_from([0, 1, 2, 7, 40, 400, 400, 900]))
    names = chance.sample(NAMES, draw(st.integers(1, 6)) + 3)
    key, event_time, target, *others = names
    task, labels = TARGETS[draw(st.sampled_from(sorted(TARGETS)))]
    columns: dict[str, Any] = {
        key: draw(st.sampled_from(["small", "digits", "text", "unique", "unique", "unique", "unique"])),
        event_time: draw(st.sampled_from(["time", "zoned", "day", "time", "time", "written", "never"])),
    }
    columns |= {name: draw(st.sampled_from(sorted(COLUMNS))) for name in others}
    frame = pd.DataFrame(
        {
            name: pd.Series(np.arange(rows) if kind == "unique" else COLUMNS[kind](rows, chance))
            for name, kind in columns.items()
        }
    )
    frame[target] = pd.Series(labels(rows, chance), dtype=object).infer_objects()
    if rows and draw(st.booleans()):
        holed = draw(st.sampled_from(sorted(frame.columns)))
        frame[holed] = frame[holed].astype(object).where(pd.Series([chance.random() > 0.2 for _ in range(rows)]), None)
    if draw(st.booleans()):
        frame = pd.concat([frame, frame.head(5)], ignore_index=True)
    return OddTable(
        frame=frame.sample(frac=1, random_state=chance.randrange(2**31)).reset_index(drop=True),
        form=draw(st.sampled_from(["csv", "csv", "parquet", "jsonl"])),
        key=(key,) if draw(st.integers(0, 3)) else (),
        event_time=event_time if draw(st.integers(0, 4)) else None,
        target=target,
        task=task,
        named=draw(st.booleans()),
    )


def drawn(seed: int, count: int) -> list[OddTable]:
    """Return the tables of a seed."""
    found: list[OddTable] = []
    _each(seed, count, found.append)
    return found


def _each(seed: int, count: int, visit: Callable[[OddTable], object]) -> None:
    @seeded(seed)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(table=tables())
    def every(table: OddTable) -> None:
        visit(table)

    every()


def written(table: OddTable, folder: Path) -> Path | None:
    """Write a table into a folder, and return the file; None if its format can't hold the table."""
    path = folder / f"rows.{table.form}"
    try:
        if table.form == "csv":
            table.frame.to_csv(path, index=False)
        elif table.form == "parquet":
            table.frame.to_parquet(path, index=False)
        else:
            table.frame.to_json(path, orient="records", lines=True, date_format="iso")
    except Exception:  # noqa: BLE001 - of pandas or pyarrow, whose matter it is
        return None
    return path


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
        _each(seed, count, visit)
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
