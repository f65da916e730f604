"""A model in a bucket and a PostgreSQL database is backed up while it is written to, loses all, and is restored."""

import os
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pytest
import s3fs
from pydantic import SecretStr
from support.s3 import reach

from everfit.blocks.settings import Settings
from everfit.tasks.backups.backup import back_up
from everfit.tasks.backups.restore import restore
from everfit.tasks.core.records import Record
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.ledger import Ledger
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.mlflow_client import tracking_client
from everfit.tasks.scoring.loading import load_scorer
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.model_check import check_model

pytestmark = pytest.mark.usefixtures("prefect_server")

MODEL = "deliveries"
ROWS = pd.DataFrame({"distance": [1.0, 5.0, 9.0], "region": ["north", "south", "west"]})


class Noted(Record):
    """What a row of the ledger names: a file of the workspace, and a version of the dataset."""

    file: str
    version: int


def placed(prefix: str, url: str, folder: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    folder.mkdir()
    shutil.copy(empty_mlflow, folder / "mlflow.db")
    os.chdir(folder)  # the state folder of a remote workspace is beside the process; `released` goes back at the end
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    return Settings(workspace=f"s3://models/{prefix}", ledger_url=SecretStr(url))


def scores(context: Context) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    champion = model_registry.champion(context.mlflow, MODEL)
    assert champion is not None
    return np.asarray(load_scorer(context.mlflow, context.ledger, champion).score(ROWS).probabilities)


def write_on(context: Context, stopped: threading.Event, failures: list[BaseException]) -> None:
    """Write as a running loop does: a file and rows of a table first, then the row of the ledger that names them."""
    dataset = context.workspace.table(MODEL, "dataset")
    number = 0
    try:
        while not stopped.wait(0.01):
            number += 1
            path = context.workspace.turn_file(MODEL, "running", f"{number}.json")
            context.workspace.write(path, b"{}")
            span = {"delta.deletedFileRetentionDuration": f"interval {number + 30} days"}
            dataset.open().alter.set_table_properties(span)
            noted = Noted(file=f"{number}.json", version=dataset.open().version())
            identity = f"{MODEL}/noted/{number}"
            context.ledger.decisions.record(identity, model=MODEL, kind="noted", verdict="noted", record=noted)
    except BaseException as error:  # noqa: BLE001 - the test shows it
        failures.append(error)


def test_what_a_running_model_has_outlives_the_loss_of_bucket_and_database(
    released: str,
    store: str,
    postgres: Callable[[], str],
    _empty_mlflow: Path,  # noqa: PT019 - its path is needed
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A model on this disk and SQLite moves into a bucket and PostgreSQL.
    reach(store, monkeypatch)
    spec = load_spec(released)
    local = Context(spec, Settings())
    before = scores(local)
    back_up(local, "s3://models/kept/first")
    first_url, second_url = postgres(), postgres()
    settings = placed("live", first_url, tmp_path / "live", _empty_mlflow, monkeypatch)
    moved = restore(settings, Ledger.open(settings), tracking_client(settings), "s3://models/kept/first", by="ann")
    assert (moved.champion, moved.problems) == (1, ())
    live = Context(spec, settings)
    assert check_model(live).problems == ()

    # It is backed up while it is written to.
    stopped, failures = threading.Event(), list[BaseException]()
    writer = threading.Thread(target=write_on, args=(live, stopped, failures))
    writer.start()
    try:
        while not live.ledger.decisions.of(MODEL, kind="noted") and writer.is_alive():
            threading.Event().wait(0.02)
        made = back_up(live, "s3://models/kept/second")
    finally:
        stopped.set()
        writer.join()
    assert (failures, made.missing) == ([], ())
    rows = live.workspace.table(MODEL, "dataset").open().count()

    # All but the backup is lost.
    s3fs.S3FileSystem().rm("models/live", recursive=True)
    with psycopg.connect(first_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA " + first_url.rpartition("%3D")[2] + " CASCADE")
    for folder in (tmp_path / "live", Path(released).with_name(".everfit")):
        shutil.rmtree(folder)

    settings = placed("again", second_url, tmp_path / "again", _empty_mlflow, monkeypatch)
    done = restore(settings, Ledger.open(settings), tracking_client(settings), "s3://models/kept/second", by="ann")

    assert (done.champion, done.problems) == (1, ())
    again = Context(spec, settings)
    assert check_model(again).problems == ()
    np.testing.assert_array_equal(scores(again), before)
    assert again.workspace.table(MODEL, "dataset").open().count() == rows
    notes = [Noted.recall(entry.record) for entry in again.ledger.decisions.of(MODEL, kind="noted")]
    assert notes
    newest = again.workspace.table(MODEL, "dataset").open().version()
    for note in notes:  # nothing that a restored row names is missing
        assert again.workspace.exists(again.workspace.turn_file(MODEL, "running", note.file))
        assert newest >= note.version
    assert again.ledger.decisions.of(MODEL, kind="restoration")[-1].at > datetime(2024, 1, 1, tzinfo=UTC)
