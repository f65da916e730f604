"""The drain puts every prediction into the log exactly once, through crashes, outages and damage."""

import tracemalloc
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.spools import KINDS, OCTOBER, batch, drain_of

from everfit.infra.serving import drain as drains
from everfit.infra.serving.segment import Segment
from everfit.infra.serving.spool import Spool
from everfit.infra.serving.spooled_columns import spooled_columns
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import prediction_ids, prediction_log
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import Table


@pytest.fixture
def log(tmp_path: Path) -> Table:
    return Table(str(tmp_path / "predictions"))


def test_rows_arrive_with_their_types_key_and_day(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(0, 30))
    assert drain_of(spool, log).drain() == 30

    frame = prediction_log.read(log, None, "at")
    assert frame["_prediction_id"].nunique() == 30
    assert str(frame["at"].dtype) == "datetime64[us, UTC]"
    assert frame["x"].isna().sum() == 5
    assert sorted({str(day) for day in frame["_day"]}) == ["2013-10-01", "2013-10-02"]
    known = frame["flight"].notna()
    assert (~known).sum() == 6
    assert frame["_key"].nunique() == 30
    keys = frame.loc[known, ["flight"]].astype("int64")
    assert frame.loc[known, "_key"].tolist() == row_keys(keys, ["flight"]).tolist()


def test_a_crash_between_commit_and_deletion_adds_nothing_twice(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(0, 10))
    spool.seal()
    crashed = drain_of(spool, log)
    spool.discard = lambda numbers: None  # type: ignore[method-assign,assignment]
    assert crashed.drain() == 10
    assert len(spool.sealed()) == 1
    del spool.discard  # type: ignore[method-assign]

    spool.append(KINDS, batch(10, 5))
    assert drain_of(spool, log).drain() == 5

    assert sorted(prediction_log.read(log, None, "at")["_prediction_id"]) == sorted(f"id-{row}" for row in range(15))
    assert spool.sealed() == []


def test_holds_while_the_log_cannot_be_reached(tmp_path: Path) -> None:
    blocked = tmp_path / "predictions"
    blocked.write_text("a file where the table should be")
    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(0, 10))
    drain = drain_of(spool, Table(str(blocked)))

    assert drain.drain() == 0
    assert drain.state.failures == 1
    assert drain.state.error

    blocked.unlink()
    assert drain.drain() == 10
    assert drain.state.failures == 0


def test_takes_over_what_a_dead_process_left(tmp_path: Path, log: Table) -> None:
    living, dead = Spool.claim(tmp_path / "spool"), Spool.claim(tmp_path / "spool")
    dead.append(KINDS, batch(0, 10))
    drain = drain_of(living, log)
    assert drain.drain() == 0
    dead.close()

    assert drain.drain() == 10
    assert drain.drain() == 0


def test_a_damaged_segment_is_set_aside_and_its_whole_rows_are_kept(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    for first in range(0, 30, 10):
        spool.append(KINDS, batch(first, 10))
    spool.seal()
    segment = next(spool.folder.glob("*.seg"))
    content = segment.read_bytes()
    damaged = content.replace(b'"id-10"', b'"id-XX"')
    segment.write_bytes(damaged)

    drain = drain_of(spool, log)
    assert drain.drain() == 20

    assert [Path(path).read_bytes() for path in drain.state.set_aside] == [damaged]


def counted(*values: Any, kind: str = "long", first: int = 0) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Rows of a model whose `x` is of some kind."""
    return {**KINDS, "x": kind}, {**batch(first, len(values)), "x": list(values)}


def test_a_column_of_whole_numbers_takes_fractions_from_another_version_on(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    drain = drain_of(spool, log)
    spool.append(*counted(1, 2, None))
    drain.drain()
    spool.append(*counted(3.0, None, kind="double", first=10))
    drain.drain()
    assert log.columns()["x"] == "int64"  # whole ones fit as they are
    spool.append(*counted(0.5, kind="double", first=20))
    spool.append(*counted(2**53, first=30))  # the version before goes on beside it
    assert (drain.drain(), drain.state.set_aside) == (2, [])

    frame = prediction_log.read(log, None, "at")
    assert frame["x"].dropna().tolist() == [1, 2, 3, 0.5, 2**53]
    assert prediction_log.last_append(log, spool.epoch) == 4  # what was appended is still known


def test_a_whole_number_that_no_fraction_holds_is_never_changed(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    drain = drain_of(spool, log)
    spool.append(*counted(2**53 + 1))
    drain.drain()
    spool.append(*counted(0.5, kind="double", first=10))
    drain.drain()

    assert len(drain.state.set_aside) == 1
    assert prediction_log.read(log, None, "at")["x"].tolist() == [2**53 + 1]


def test_what_was_set_aside_is_tried_again_when_a_service_starts(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    drain = drain_of(spool, log)
    spool.append(*counted(1))
    drain.drain()
    for first, kind, value in ((10, "string", "many"), (20, "string", "few"), (30, "long", 2)):
        spool.append(*counted(value, kind=kind, first=first))
    drain.drain()
    drain.stop()
    assert spool.aside == 1
    logged = prediction_log.read(log, None, "at")["_prediction_id"].tolist()

    # Nothing has changed for them; then the log is begun anew, and has a place for all.
    for folder, found in ((log.uri, logged), (str(tmp_path / "anew"), ["id-10", "id-20"])):
        for _ in range(2):
            again = drain_of(Spool.claim(tmp_path / "spool"), Table(folder))
            again.start()
            again.stop()
            assert prediction_log.read(Table(folder), None, "at")["_prediction_id"].tolist() == found
    assert Spool.claim(tmp_path / "spool").aside == 0


def test_one_that_widens_the_log_loses_nothing_that_another_writes_meanwhile(
    tmp_path: Path, log: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, other = Spool.claim(tmp_path / "spool"), Spool.claim(tmp_path / "other")
    drain = drain_of(spool, log)
    spool.append(*counted(1))
    drain.drain()
    other.append(*counted(2, first=10))
    spool.append(*counted(0.5, kind="double", first=20))
    batches = Table.arrow_batches

    def interrupted(table: Table, *given: Any, **options: Any) -> Any:
        yield from list(batches(table, *given, **options))
        drain_of(other, log).drain()

    with monkeypatch.context() as patched:
        patched.setattr(Table, "arrow_batches", interrupted)
        drain.drain()
    drain.drain()

    assert sorted(prediction_log.read(log, None, "at")["x"]) == [0.5, 1, 2]


def test_of_segments_that_go_together_only_those_that_do_not_fit_are_set_aside(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool", segment_bytes=100)
    drain = drain_of(spool, log)
    spool.append(*counted(2**60))
    drain.drain()
    for first, value in ((10, 3.0), (20, 0.5), (30, 4.0)):
        spool.append(*counted(value, kind="double", first=first))

    assert (drain.drain(), len(drain.state.set_aside)) == (2, 1)
    assert prediction_log.read(log, None, "at")["x"].tolist() == [2**60, 3, 4]
    spool.close()
    assert Spool.claim(tmp_path / "spool").aside == 1  # the next process knows of it


def test_rows_that_never_fit_are_set_aside_and_later_ones_go_on(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(0, 5))
    drain = drain_of(spool, log)
    drain.drain()
    spool.append({**KINDS, "x": "string"}, {**batch(5, 5), "x": ["not a number"] * 5})
    spool.append(KINDS, batch(10, 5))

    assert drain.drain() == 5
    assert len(drain.state.set_aside) == 1
    assert len(prediction_log.read(log, None, "at")) == 10


def test_a_new_version_may_bring_a_new_feature(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(0, 5))
    spool.append({**KINDS, "wind": "double"}, {**batch(5, 5, version=2), "wind": [3.0] * 5})
    assert drain_of(spool, log).drain() == 10

    frame = prediction_log.read(log, None, "at")
    assert frame["wind"].isna().tolist() == [True] * 5 + [False] * 5


def test_reads_by_window_arm_and_version_and_finds_by_id(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    one, two = prediction_ids.new_ids(OCTOBER // 1000, 2)
    spool.append(KINDS, {**batch(0, 2), "_prediction_id": [one, two], "_arm": ["champion", "shadow"]})
    spool.append(KINDS, batch(24, 4, version=2))
    drain_of(spool, log).drain()

    window = Window(since=pd.Timestamp("2013-10-02", tz="UTC"), until=pd.Timestamp("2013-10-02 02:00", tz="UTC"))
    assert prediction_log.read(log, window, "at", columns=["_prediction_id"]).to_numpy().tolist() == [
        ["id-24"],
        ["id-25"],
    ]
    assert len(prediction_log.read(log, None, "at", model_version=1)) == 1
    assert len(prediction_log.read(log, None, "at", arms=("shadow",))) == 1
    found = prediction_log.find_prediction(log, two)
    assert found is not None
    assert found["_arm"] == "shadow"
    assert prediction_log.find_prediction(log, prediction_ids.new_ids(OCTOBER // 1000, 1)[0]) is None
    assert prediction_ids.made_at_ms(one) == OCTOBER // 1000
    assert one[14] == "7"


def test_segments_of_many_days_are_not_in_one_commit(
    tmp_path: Path, log: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drains, "_COMMIT_DAYS", 3)
    spool = Spool.claim(tmp_path / "spool")
    for start in (0, 48, 96):  # two days each
        spool.append(KINDS, batch(start, 48))
        spool.seal()

    assert drain_of(spool, log).drain() == 144
    assert len(log.open().file_uris()) == 6  # one of each day
    assert log.version() == 3


def test_a_commit_is_bounded_and_each_segment_is_taken_apart_once(
    tmp_path: Path, log: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool.claim(tmp_path / "spool")
    for start in (0, 4, 8, 12):
        spool.append(KINDS, batch(start, 4))
        spool.seal()
    monkeypatch.setattr(drains, "_COMMIT_BYTES", 2.5 * max(map(spool.size, spool.sealed())))
    read: list[int] = []

    def counted(segment: Segment) -> Any:
        read.append(segment.number)
        return spooled_columns(segment)

    monkeypatch.setattr(drains, "spooled_columns", counted)
    numbers = spool.sealed()
    assert drain_of(spool, log).drain() == 16
    assert log.version() == 2  # two segments in each
    assert read == numbers


def test_batches_of_many_shapes_become_the_same_rows_in_parts_and_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drained(rows_at_once: int) -> pd.DataFrame:
        monkeypatch.setattr(drains, "_ROWS_AT_ONCE", rows_at_once)
        place = tmp_path / str(rows_at_once)
        spool, log = Spool.claim(place / "spool"), Table(str(place / "log"))
        for start, count in ((0, 5), (5, 1), (6, 40), (46, 2)):
            joined = {"_joined": ["a"] * count} if start in {5, 46} else {}
            spool.append(KINDS, batch(start, count) | joined)
        assert drain_of(spool, log).drain() == 48
        assert log.version() == 1
        return prediction_log.read(log, None, "at")

    at_once = drained(1_000)
    assert at_once["_joined"].notna().sum() == 3
    pd.testing.assert_frame_equal(drained(2), at_once)


def test_a_drain_holds_little_beside_the_segments_themselves(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")

    def filled() -> int:
        for start in range(0, 20_000, 10):
            ids = {"_prediction_id": [f"id-{row}" for row in range(start, start + 10)]}
            spool.append(KINDS, batch(start % 20, 10) | ids)
        return spool.held_bytes

    size = filled()
    drain_of(spool, log).drain()  # imports
    filled()
    tracemalloc.start()
    try:
        assert drain_of(spool, log).drain() == 20_000
        assert tracemalloc.get_traced_memory()[1] < 3 * size
    finally:
        tracemalloc.stop()
