"""No prediction is dropped as known unless the log has it, whatever happened to the folder of the spool."""

import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from deltalake.exceptions import DeltaError
from support.spools import KINDS, batch, drain_of, logged

from everfit.infra.serving.spool import Spool
from everfit.tasks.predictions import prediction_log
from everfit.tasks.storage.tables import Table


@pytest.fixture
def log(tmp_path: Path) -> Table:
    return Table(str(tmp_path / "predictions"))


def ids(*ranges: range) -> list[str]:
    return sorted(f"id-{row}" for rows in ranges for row in rows)


def test_a_restored_backup_loses_nothing_and_adds_nothing_twice(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(0, 5))
    spool.seal()
    shutil.copytree(tmp_path / "spool", tmp_path / "backup")  # of the first five
    drain_of(spool, log).drain()
    for first in (5, 10):
        spool.append(KINDS, batch(first, 5))
        drain_of(spool, log).drain()
    spool.close()
    shutil.rmtree(tmp_path / "spool")
    shutil.copytree(tmp_path / "backup", tmp_path / "spool")

    restored = Spool.claim(tmp_path / "spool")
    restored.append(KINDS, batch(15, 3))
    drain = drain_of(restored, log)

    assert drain.drain() == 3
    assert logged(log) == ids(range(18))
    assert restored.sealed() == []


def test_a_clone_of_a_volume_that_goes_on_beside_the_original_loses_nothing(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(0, 3))  # its segment is still open: the clone has a part of it
    shutil.copytree(tmp_path / "spool", tmp_path / "clone")
    spool.append(KINDS, batch(3, 3))
    clone = Spool.claim(tmp_path / "clone")
    clone.append(KINDS, batch(6, 5))

    assert drain_of(clone, log).drain() == 8
    assert drain_of(spool, log).drain() == 3  # what the clone did not have
    spool.append(KINDS, batch(11, 2))
    assert drain_of(spool, log).drain() == 2
    assert logged(log) == ids(range(13))


def test_two_copies_that_are_drained_at_once_add_each_prediction_once(
    tmp_path: Path, log: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(0, 5))
    drain_of(spool, log).drain()  # the log exists
    spool.append(KINDS, batch(5, 5))
    spool.seal()
    shutil.copytree(tmp_path / "spool", tmp_path / "clone")
    clone = Spool.claim(tmp_path / "clone")
    drains = [drain_of(spool, log), drain_of(clone, log)]
    write = prediction_log._write

    def after_the_other(*given: Any) -> None:
        monkeypatch.setattr(prediction_log, "_write", write)
        assert drains[1].drain() == 5
        write(*given)

    monkeypatch.setattr(prediction_log, "_write", after_the_other)
    assert drains[0].drain() == 0
    assert drains[0].state.failures == 1  # it lost the race, and tries again
    assert drains[0].drain() == 0
    assert (drains[0].state.failures, spool.sealed()) == (0, [])
    assert logged(log) == ids(range(10))


def test_two_that_look_the_same_rows_up_at_once_add_them_once(tmp_path: Path, log: Table) -> None:
    rows = prediction_log.to_rows(batch(0, 5), KINDS, ["flight"], "at")
    prediction_log.append(log, rows.slice(0, 1), "first")
    known = prediction_log._known_ids
    raced: list[int] = []

    def looked_up(opened: Any, missing: Any) -> set[str]:
        result = known(opened, missing)
        if not raced:
            raced.append(1)
            raced[0] = prediction_log.append_missing(log, rows)
        return result

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(prediction_log, "_known_ids", looked_up)
        with pytest.raises(DeltaError):
            prediction_log.append_missing(log, rows)
    assert raced == [4]
    assert prediction_log.append_missing(log, rows) == 0
    assert logged(log) == ids(range(5))


def test_two_that_make_the_log_at_once_add_each_prediction_once(
    tmp_path: Path, log: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(0, 5))
    spool.seal()
    shutil.copytree(tmp_path / "spool", tmp_path / "clone")
    write = prediction_log._write

    def after_the_other(*given: Any) -> None:
        monkeypatch.setattr(prediction_log, "_write", write)
        assert drain_of(Spool.claim(tmp_path / "clone"), log).drain() == 5
        write(*given)

    monkeypatch.setattr(prediction_log, "_write", after_the_other)
    assert drain_of(spool, log).drain() == 0
    assert logged(log) == ids(range(5))


def test_a_segment_that_was_copied_within_its_folder_is_added_once(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    for first in (0, 5):
        spool.append(KINDS, batch(first, 5))
        spool.seal()
    spool.close()
    paths = sorted(spool.folder.glob("*.seg"))
    (spool.folder / f"{7:016d}.seg").write_bytes(paths[0].read_bytes()[:-9])  # its last predictions are cut off
    shutil.copy(paths[1], spool.folder / f"{9:016d}.seg")

    assert drain_of(Spool.claim(tmp_path / "spool"), log).drain() == 10
    assert logged(log) == ids(range(10))


def test_a_backup_that_is_copied_over_the_folder_replaces_no_segment(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(0, 5))
    spool.close()
    shutil.copytree(tmp_path / "spool", tmp_path / "backup")
    drained = Spool.claim(tmp_path / "spool")
    drain_of(drained, log).drain()
    drained.close()
    later = Spool.claim(tmp_path / "spool")  # of an empty folder
    later.append(KINDS, batch(5, 5))
    later.close()
    assert len(list(later.folder.glob("*.seg"))) == 1
    shutil.copytree(tmp_path / "backup", tmp_path / "spool", dirs_exist_ok=True)

    assert drain_of(Spool.claim(tmp_path / "spool"), log).drain() == 5
    assert logged(log) == ids(range(10))


@pytest.mark.parametrize("cleaned", ["empty segments", "id files", "everything but the segments"])
def test_a_cleaned_folder_loses_nothing(tmp_path: Path, log: Table, cleaned: str) -> None:
    spool = Spool.claim(tmp_path / "spool")
    for first in (0, 5):
        spool.append(KINDS, batch(first, 5))
        drain_of(spool, log).drain()
    spool.close()
    for path in spool.folder.iterdir():
        if cleaned == "everything but the segments" or path.stat().st_size == 0 or path.name == "id":
            path.unlink()
    (spool.folder / "id").write_text("")  # as a power cut leaves it

    for first in (10, 15):
        spool = Spool.claim(tmp_path / "spool")
        spool.append(KINDS, batch(first, 5))
        assert drain_of(spool, log).drain() == 5
        spool.close()
    assert logged(log) == ids(range(20))


def unnamed_segment(path: Path, rows: dict[str, list[Any]]) -> None:
    """Write a segment as everfit 0.2 did."""
    payloads = [orjson.dumps(KINDS), orjson.dumps(rows)]
    frames = [struct.pack("<II", len(payload), zlib.crc32(payload)) + payload for payload in payloads]
    path.write_bytes(b"everfit1" + b"".join(frames))


def test_segments_of_earlier_versions_are_added_once(tmp_path: Path, log: Table) -> None:
    folder = tmp_path / "spool" / "0000"
    folder.mkdir(parents=True)
    (folder / "id").write_text("spool-old")
    rows = prediction_log.to_rows(batch(0, 5), KINDS, ["flight"], "at")
    prediction_log.append(log, rows, "spool-old", 3)  # of segments 1 to 3; it was killed before it deleted the third
    unnamed_segment(folder / f"{3:016d}.seg", batch(0, 5))
    unnamed_segment(folder / f"{4:016d}.seg", batch(5, 5))

    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(10, 2))
    assert drain_of(spool, log).drain() == 7
    assert logged(log) == ids(range(12))


def test_a_segment_whose_beginning_is_damaged_hides_no_other(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    for first in (0, 5, 10):
        spool.append(KINDS, batch(first, 5))
        spool.seal()
    path = sorted(spool.folder.glob("*.seg"))[1]
    path.write_bytes(path.read_bytes().replace(b'"epoch"', b'"epocx"'))

    drain = drain_of(spool, log)
    assert drain.drain() == 10
    assert logged(log) == ids(range(5), range(10, 15))
    assert len(drain.state.set_aside) == spool.aside == 1


def test_segments_that_are_set_aside_never_replace_each_other(tmp_path: Path, log: Table) -> None:
    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(0, 1))
    drain_of(spool, log).drain()
    for first in (10, 20):
        spool = Spool.claim(tmp_path / "spool")
        spool.append({**KINDS, "x": "string"}, {**batch(first, 1), "x": [f"text {first}"]})
        drain_of(spool, log).drain()
        spool.close()

    assert spool.aside == 2
