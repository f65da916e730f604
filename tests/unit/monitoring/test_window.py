"""The window of the log, and the champion's answers in it with what came true."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.logs import EVENT_TIME, answered, log_answers, log_labels

from everfit.blocks.clients import ClientsPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.live_predictions import LivePredictions, read_live_predictions
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions, read_labelled_predictions
from everfit.tasks.statistics.histograms import ColumnHistogram, Histograms
from everfit.tasks.statistics.profile import profile_frame

MARCH, NEXT = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 8, tzinfo=UTC)
WINDOW = Window(since=MARCH, until=NEXT)
FEATURES = ["distance", "region"]


def profile_of(rows: pd.DataFrame):  # type: ignore[no-untyped-def]
    return profile_frame(rows.assign(_score=rows["score"]), FEATURES, predictions=["_score"])


def live_of(folder: Path, window: Window = WINDOW, sample_rows: int = 10_000) -> LivePredictions:
    profile, table = profile_of(answered("2024-02-01", 500)), log_answers(folder, answered("2024-03-01"))
    return read_live_predictions(table, window, EVENT_TIME, profile, 1, sample_rows=sample_rows)


def test_a_window_is_counted_whoever_answered_and_shadows_are_not(tmp_path: Path) -> None:
    log_answers(tmp_path, answered("2024-03-02", 40, days=2), version=2)
    log_answers(tmp_path, answered("2024-03-03", 30, days=2), version=3, arm="shadow")
    log_answers(tmp_path, answered("2024-03-08", 20))  # after the window

    live = live_of(tmp_path)

    assert live.rows == 340
    assert live.versions == {1: 300, 2: 40}
    assert live.newest is not None
    assert MARCH < live.newest < NEXT
    assert live.latencies.size == live.outliers[0] == 340
    # What another version said is no prediction of the champion's.
    assert live.counts.column("_score").missing == 40
    assert live.counts.column("distance").missing == 0


def test_a_client_above_its_share_is_left_out_and_counted_beside(tmp_path: Path) -> None:
    log_answers(tmp_path, answered("2024-03-02", 900, days=2), client="bad")
    table = log_answers(tmp_path, answered("2024-03-04", 100, days=2), client="shop")
    profile = profile_of(answered("2024-02-01", 500))

    def read(most: float) -> LivePredictions:
        return read_live_predictions(table, WINDOW, EVENT_TIME, profile, 1, sample_rows=10_000, max_client_share=most)

    whole, limited = read(1), read(0.5)
    assert (whole.rows, whole.left_out, dict(whole.clients)) == (1_000, 0, {"bad": 900, "shop": 100})
    assert (limited.rows, dict(limited.clients)) == (1_000, {"bad": 900, "shop": 100})
    assert limited.counts.rows == 1_000 - limited.left_out
    assert limited.left_out == pytest.approx(800, abs=40)
    answers = read_labelled_predictions(
        table,
        log_labels(tmp_path, answered("2024-03-04", 100, days=2)),
        WINDOW,
        EVENT_TIME,
        NEXT,
        task="binary",
        classes=("0", "1"),
        version=1,
        clients=ClientsPolicy(max_share=0.5),
    )
    assert len(answers.rows) == limited.counts.rows


def test_the_sample_is_the_same_in_whatever_order_the_rows_came(tmp_path: Path) -> None:
    rows = answered("2024-03-01", 900)
    profile = profile_of(answered("2024-02-01", 500))
    samples = []
    for name, order in (("one", [0, 1, 2]), ("two", [2, 0, 1])):
        folder = tmp_path / name
        for part in order:
            log_answers(folder, rows.iloc[part * 300 : (part + 1) * 300].reset_index(drop=True))
        table = log_answers(folder, answered("2024-04-01", 5))
        samples.append(read_live_predictions(table, WINDOW, EVENT_TIME, profile, 1, sample_rows=50).sample)

    assert [len(sample) for sample in samples] == [50, 50]
    assert set(samples[0]["_key"]) == set(samples[1]["_key"])
    assert samples[0][EVENT_TIME].dt.dayofyear.nunique() == 7  # from all over the window


def without_frequent(counts: Histograms) -> list[ColumnHistogram]:
    """The counts of the columns but those of single values, of which each chunk names one."""
    return [column.model_copy(update={"frequent": {}}) for column in counts.columns]


def test_a_window_in_parts_is_that_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, client in enumerate(("shop", "bad", "shop")):
        rows = answered("2024-03-01", 300 + number, seed=number)
        rows.loc[:40, "region"] = [f"new {place % 30}" for place in range(41)]
        table = log_answers(tmp_path, rows.assign(id=rows["id"] + str(number)), version=1 + number % 2, client=client)
    profile = profile_of(answered("2024-02-01", 500))

    def read() -> LivePredictions:
        return read_live_predictions(
            table, WINDOW, EVENT_TIME, profile, 1, sample_rows=50, max_client_share=0.6, outlier_above=0.9
        )

    whole = read()
    monkeypatch.setattr("everfit.tasks.storage.table_parts.PART_ROWS", 100)
    cut = read()

    assert without_frequent(cut.counts) == without_frequent(whole.counts)
    pd.testing.assert_frame_equal(cut.sample, whole.sample)
    assert (cut.versions, cut.clients, cut.left_out) == (whole.versions, whole.clients, whole.left_out)
    assert (cut.newest, cut.outliers, cut.latencies.size) == (whole.newest, whole.outliers, whole.latencies.size)
    assert cut.latencies.percentile(99) == whole.latencies.percentile(99)


def test_nothing_was_predicted(tmp_path: Path) -> None:
    later = Window(since=NEXT, until=datetime(2024, 3, 15, tzinfo=UTC))
    for live in (
        live_of(tmp_path, later),
        read_live_predictions(
            log_answers(tmp_path / "x", answered("2023-01-01", 2)),
            WINDOW,
            EVENT_TIME,
            profile_of(answered("2024-02-01")),
            1,
            sample_rows=9,
        ),
    ):
        assert (live.rows, live.newest, live.versions, len(live.sample)) == (0, None, {}, 0)


def answers_of(folder: Path, until: datetime = NEXT, version: int = 1) -> LabelledPredictions:
    tables = [log_answers(folder, answered("2024-03-01")), log_labels(folder, answered("2024-03-01"))]
    return read_labelled_predictions(
        *tables, WINDOW, EVENT_TIME, until, task="binary", classes=("0", "1"), version=version, also=["region"]
    )


def test_an_answer_has_the_label_that_was_known_at_the_moment(tmp_path: Path) -> None:
    rows = answered("2024-03-01")
    moment = datetime(2024, 3, 4, tzinfo=UTC)

    result = answers_of(tmp_path, moment)

    assert len(result.rows) == 300
    assert result.labelled.sum() == (rows["known_at"] <= moment).sum()
    known = result.with_labels()
    truth = rows.set_index("id")
    assert known.truth.tolist() == rows.loc[rows["known_at"] <= moment, "label"].tolist()
    assert np.allclose(known.scores, rows.loc[rows["known_at"] <= moment, "score"])
    assert known.days.tolist() == sorted(known.days.tolist())
    assert truth.index.is_unique


def test_of_a_row_that_was_answered_twice_the_last_answer_counts(tmp_path: Path) -> None:
    log_answers(tmp_path, answered("2024-03-01").assign(score=0.25), predicted_at="2023-12-01")
    assert len(answers_of(tmp_path).rows) == 300
    assert (answers_of(tmp_path).scores != 0.25).all()


def test_another_version_gave_no_answer_of_the_champions(tmp_path: Path) -> None:
    assert answers_of(tmp_path, version=7).rows.empty
    assert answers_of(tmp_path, version=7).scores.size == 0


def test_a_label_of_a_class_that_the_model_does_not_know_is_one(tmp_path: Path) -> None:
    rows = answered("2024-03-01")
    tables = [log_answers(tmp_path, rows), log_labels(tmp_path, rows.assign(label=rows["label"].replace(0, 2)))]
    result = read_labelled_predictions(*tables, WINDOW, EVENT_TIME, NEXT, task="binary", classes=("0", "1"), version=1)
    early = (rows["known_at"] <= NEXT).to_numpy()
    assert result.labelled.sum() == int(early.sum())
    assert result.unknown.sum() == int((rows["label"] == 0)[early].sum())


def test_answers_without_scores_are_refused(tmp_path: Path) -> None:
    from everfit.blocks.errors import DataError, NotEnoughError

    result = answers_of(tmp_path)
    broken = LabelledPredictions(result.window, result.rows.assign(_score=np.nan), EVENT_TIME, "binary", ("0", "1"))
    with pytest.raises(DataError, match="300 predictions have no '_score'") as error:
        _ = broken.scores
    assert not isinstance(error.value, NotEnoughError)  # no more rows would mend that
