"""A function of the user's own changes rows in the same way before training and before scoring."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from support.turns import Loop

from everfit.blocks.errors import DataError
from everfit.blocks.settings import Settings
from everfit.tasks.batch.source_rows import read_rows
from everfit.tasks.core.records import Window
from everfit.tasks.data.commit import commit_batch
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.transform import Function, transform
from everfit.tasks.data.validate import validate
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.scoring.batch_scoring import ScoringBatch, score_window
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.storage.table_schema import read_changed_by, read_kinds
from everfit.tasks.turns.context import Context

UNTIL, LATER = datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)


def add_dear(rows: pd.DataFrame) -> pd.DataFrame:
    """Two columns: one made of a number, one of a code that only the kinds of the dataset say to be text."""
    return rows.assign(dear=rows["price"] > 3, place=rows["code"].str[:1])


def rows_of(since: str) -> pd.DataFrame:
    at = pd.date_range(since, periods=60, freq="h", tz="UTC")
    numbers = range(len(at))
    columns = {"id": [f"{since}-{number}" for number in numbers], "at": at, "y": [number % 2 for number in numbers]}
    return pd.DataFrame(columns).assign(
        price=[number / 4 for number in numbers], code=[("01067", "80331")[number % 2] for number in numbers]
    )


def loop_of(folder: Path, function: Function) -> Loop:
    """A dataset whose rows were changed on their way in, and a month of new rows."""
    loop = Loop(folder, task="binary", training={"holdout": "1d"})
    loop.write("january.csv", rows_of("2024-01-01"))
    batch = transform(loop.spec, ingest(loop.spec, UNTIL, "first", loop.workspace), function, loop.workspace)
    assert batch.notes[-1] == f"the rows were changed by {function.__name__}"
    commit_batch(loop.spec, batch, validate(loop.spec, batch, loop.workspace), loop.workspace)
    loop.write("february.csv", rows_of("2024-02-01"))
    return loop


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return loop_of(tmp_path, add_dear)


def scorer_of(loop: Loop) -> Scorer:
    rows, kinds = loop.dataset(), read_kinds(loop.workspace, "sales")
    features = ["price", "dear", "place"]
    inputs = InputSchema.of_frame(
        rows, task="binary", features=features, key=["id"], event_time="at", target="y", meanings=kinds
    )
    return Scorer(DummyClassifier().fit(rows[features], rows["y"].astype(int)), inputs, 7)


def test_rows_to_score_are_changed_as_the_rows_for_training_were(loop: Loop) -> None:
    context = Context(loop.spec, Settings(workspace=loop.workspace.uri))
    log = loop.workspace.table("sales", "predictions")
    batch = ScoringBatch(Window(since=UNTIL, until=LATER))

    added, aside = score_window(scorer_of(loop), read_rows(context, batch.window, add_dear), log, batch)

    assert (added, aside.count) == (60, 0)
    logged, trained_on = log.read().sort_values("at"), loop.dataset().sort_values("at")
    assert logged["dear"].tolist() == trained_on["dear"].tolist()
    assert logged["place"].tolist() == trained_on["place"].tolist()


def test_rows_that_lack_the_columns_are_one_error_that_says_what_to_do(loop: Loop) -> None:
    context = Context(loop.spec, Settings(workspace=loop.workspace.uri))
    log = loop.workspace.table("sales", "predictions")
    batch = ScoringBatch(Window(since=UNTIL, until=LATER))

    with pytest.raises(
        DataError, match=r"no column 'dear', 'place', which version 7 needs.*own with the same function: .*transform="
    ):
        score_window(scorer_of(loop), read_rows(context, batch.window), log, batch)
    with pytest.raises(DataError, match=r"turned 60 rows into 3"):
        score_window(scorer_of(loop), read_rows(context, batch.window, lambda rows: rows.head(3)), log, batch)


def test_the_functions_that_changed_the_newest_rows_are_on_record(tmp_path: Path) -> None:
    def round_prices(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(price=rows["price"].round())

    loop = loop_of(tmp_path, round_prices)
    assert read_changed_by(loop.workspace, "sales") == ("round_prices",)

    loop.turn(LATER)  # whose rows no function changes

    assert read_changed_by(loop.workspace, "sales") == ()
