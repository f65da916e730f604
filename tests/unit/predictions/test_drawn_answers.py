"""Windows of very many answers, of which a look holds a draw by their keys."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.logs import EVENT_TIME, answered, log_answers, log_labels

from everfit.tasks.core.records import Window
from everfit.tasks.predictions.drawn_answers import labelled_times, unmatched
from everfit.tasks.predictions.key_draw import KeyDraw
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions, read_labelled_predictions
from everfit.tasks.storage.tables import KEY, Table

WINDOW = Window(since=datetime(2024, 3, 1, tzinfo=UTC), until=datetime(2024, 3, 8, tzinfo=UTC))
UNTIL = datetime(2024, 4, 1, tzinfo=UTC)


def tables(folder: Path, rows: pd.DataFrame, labelled: pd.DataFrame, version: int = 1) -> tuple[Table, Table]:
    return log_answers(folder, rows, version), log_labels(folder, labelled)


def read(log: Table, known: Table, most: int | None) -> LabelledPredictions:
    return read_labelled_predictions(
        log, known, WINDOW, EVENT_TIME, UNTIL, task="binary", classes=("0", "1"), version=1, most=most
    )


@pytest.fixture
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everfit.tasks.storage.table_parts.PART_ROWS", 300)


@pytest.mark.usefixtures("many_parts")
def test_of_many_answers_a_draw_is_read_that_has_their_labels(tmp_path: Path) -> None:
    rows = answered("2024-03-01", 3_000)
    log, known = tables(tmp_path, rows, rows)

    every, drawn = read(log, known, None), read(log, known, 1_000)

    assert drawn.draw.share == pytest.approx(1 / 3)
    assert len(drawn.rows) == pytest.approx(1_000, abs=100)
    in_draw = every.rows[drawn.draw.chosen(every.rows[KEY])].reset_index(drop=True)
    pd.testing.assert_frame_equal(drawn.rows, in_draw)
    assert drawn.with_labels().draw == drawn.draw
    assert every.draw.is_all
    assert not every.draw.summary(3_000)
    assert drawn.draw.summary(1_000) == "on a draw of 1,000 of about 3,000 rows, by their key"


@pytest.mark.usefixtures("many_parts")
def test_the_newest_answer_of_a_drawn_key_counts(tmp_path: Path) -> None:
    rows = answered("2024-03-01", 1_500)
    log_answers(tmp_path, rows.assign(score=2.0), predicted_at="2024-01-01")
    log, known = tables(tmp_path, rows, rows)
    log_answers(tmp_path, rows.assign(score=3.0), predicted_at="2024-02-01")

    drawn = read(log, known, 1_000)

    assert len(drawn.rows) < 600
    assert drawn.rows[KEY].is_unique
    assert set(drawn.scores) == {3.0}


@pytest.mark.usefixtures("many_parts")
def test_few_labels_are_read_all_beside_a_draw_of_the_answers(tmp_path: Path) -> None:
    """Of 3,000 answers 60 have a label: a draw of a tenth would leave six."""
    rows = answered("2024-03-01", 3_000)
    log, known = tables(tmp_path, rows, rows[::50])

    drawn = read(log, known, 300)
    early = drawn.before(datetime(2024, 3, 4, tzinfo=UTC))

    assert (len(drawn.with_labels().rows), drawn.with_labels().draw) == (60, KeyDraw())
    assert drawn.draw.share == pytest.approx(0.1)
    assert drawn.draw.chosen(drawn.rows[KEY]).all()
    assert drawn.labelled.mean() == pytest.approx(60 / 3_000, abs=0.02)
    assert 20 < len(early.with_labels().rows) < 40
    assert early.with_labels().rows[EVENT_TIME].max() < pd.Timestamp("2024-03-04", tz="UTC")
    assert len(early.with_labels().truth) == len(early.with_labels().rows)


@pytest.mark.usefixtures("many_parts")
def test_labelled_rows_of_large_tables_are_counted_on_a_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = answered("2024-03-01", 3_000)
    log, known = tables(tmp_path, rows, rows[:2_500])
    exact, draw = labelled_times(log, known, WINDOW, EVENT_TIME, UNTIL, version=1)
    assert (len(exact), draw.is_all) == (2_500, True)

    monkeypatch.setattr("everfit.tasks.predictions.drawn_answers.MOST", 1_000)
    some, draw = labelled_times(log, known, WINDOW, EVENT_TIME, UNTIL, version=1)

    assert len(some) / draw.share == pytest.approx(2_500, rel=0.1)
    assert set(some[KEY]) == set(exact.loc[draw.chosen(exact[KEY]), KEY])


@pytest.mark.usefixtures("many_parts")
def test_labels_without_a_prediction_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = answered("2024-03-01", 3_000)
    log, known = tables(tmp_path, rows[:2_000], rows)

    assert unmatched(known, log, UNTIL) == 1_000
    monkeypatch.setattr("everfit.tasks.predictions.drawn_answers.MOST_KEYS", 1_500)
    assert unmatched(known, log, UNTIL) == pytest.approx(1_000, abs=100)


def test_a_smaller_draw_is_a_part_of_a_larger_one() -> None:
    keys = np.random.default_rng(0).integers(-(2**62), 2**62, 10_000)

    small, large = KeyDraw(0.1).chosen(keys), KeyDraw(0.3).chosen(keys)

    assert not (small & ~large).any()
    assert small.mean() == pytest.approx(0.1, abs=0.02)
    assert KeyDraw.of(10, 10).is_all
    assert KeyDraw().chosen(keys).all()
    assert not KeyDraw(0.0).chosen(keys).any()
