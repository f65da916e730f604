"""The spool keeps every prediction that it took, whatever is cut off, damaged or killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples

from everfit.infra.serving.segment import first_frame, frames
from everfit.infra.serving.spool import Spool, SpoolError, SpoolFullError

TYPES = {"_prediction_id": "string", "x": "double"}


def batch(*ids: str) -> dict[str, list[object]]:
    return {"_prediction_id": list(ids), "x": [1.5] * len(ids)}


def ids(spool: Spool) -> list[str]:
    return [one for number in spool.sealed() for part in spool.read(number).batches for one in part["_prediction_id"]]


def reopened(spool: Spool) -> Spool:
    """The spool as the next process finds it, when this one was killed."""
    os.close(spool._guard)
    spool._guard = -1
    return Spool(spool.folder)


def test_gives_back_what_it_took_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(TYPES, batch("a", "b"))
    spool.append(TYPES, batch("c"))
    spool.seal()

    assert ids(spool) == ["a", "b", "c"]
    assert spool.read(spool.sealed()[0]).types == TYPES


def test_a_change_of_columns_starts_a_new_segment(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(TYPES, batch("a"))
    spool.append({**TYPES, "y": "long"}, {**batch("b"), "y": [1]})
    spool.seal()

    assert [spool.read(number).types for number in spool.sealed()] == [TYPES, {**TYPES, "y": "long"}]


def test_a_full_segment_is_closed_and_the_next_begun(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", segment_bytes=200)
    for number in range(20):
        spool.append(TYPES, batch(f"id-{number}"))
    spool.seal()

    assert len(spool.sealed()) > 2
    assert ids(spool) == [f"id-{number}" for number in range(20)]


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0, max_value=400))
def test_a_cut_off_end_loses_only_what_was_never_answered(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool") / "s")
    ends = []
    for number in range(6):
        spool.append(TYPES, batch(f"id-{number}"))
        ends.append(spool.held_bytes)
    segment = next(spool.folder.glob("*.seg"))
    content = segment.read_bytes()
    kept = max(0, len(content) - cut)
    segment.write_bytes(content[:kept])

    after = reopened(spool)

    assert ids(after) == [f"id-{number}" for number, end in enumerate(ends) if end <= kept]
    assert [after.read(number).damaged for number in after.sealed() if kept >= 8] in ([], [0])


@settings(max_examples=examples(100), deadline=None)
@given(at=st.integers(min_value=0, max_value=10_000), flip=st.integers(min_value=1, max_value=255))
def test_one_damaged_byte_costs_at_most_one_batch_and_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, at: int, flip: int
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool") / "s")
    for number in range(6):
        spool.append(TYPES, batch(f"id-{number}"))
    spool.seal()
    segment = next(spool.folder.glob("*.seg"))
    content = bytearray(segment.read_bytes())
    head = len(first_frame(spool.epoch, 1, TYPES))
    at = head + at % (len(content) - head)
    content[at] ^= flip
    segment.write_bytes(bytes(content))

    read = spool.read(spool.sealed()[0])

    survivors = [one for part in read.batches for one in part["_prediction_id"]]
    assert len(survivors) == 5
    last_frame_looks_longer = "id-5" not in survivors and read.damaged == 0
    assert read.damaged > 0 or last_frame_looks_longer


def test_frames_of_anything_never_raise() -> None:
    for content in (b"", b"ever", b"everfit2", b"something else entirely", b"everfit2" + b"\xff" * 50, b"everfit1"):
        payloads, _ = frames(content)
        assert payloads == []


def test_a_full_spool_refuses_and_takes_again_when_drained(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", max_bytes=2_000, segment_bytes=500)
    while spool.held_bytes < 1_800:
        spool.append(TYPES, batch("a"))
    with pytest.raises(SpoolFullError, match=r"of at most 2000 bytes"):
        spool.append(TYPES, batch(*["one too many"] * 20))

    spool.seal()
    spool.discard(spool.sealed())
    spool.append(TYPES, batch("again"))

    spool.seal()
    assert ids(spool) == ["again"]


@pytest.mark.parametrize("torn", [True, False])
def test_a_disk_that_takes_nothing_back_hides_no_later_prediction_and_logs_no_refused_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: bool
) -> None:
    spool, write = Spool(tmp_path / "s"), os.write
    spool.append(TYPES, batch("a"))

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "ftruncate", fail)
        if torn:
            broken.setattr(os, "write", lambda file, content: write(file, content[:-3]))
        else:
            broken.setattr(os, "fdatasync", fail)
        with pytest.raises(SpoolError, match="can't be written"):
            spool.append(TYPES, batch("refused"))
    spool.append(TYPES, batch("b"))
    spool.seal()

    assert ids(spool) == ["a", "b"]
    assert not any(spool.read(number).damaged for number in spool.sealed())


def test_a_refused_write_leaves_no_half_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(TYPES, batch("a"))
    write = os.write
    with monkeypatch.context() as disk:
        disk.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:10]))
        with pytest.raises(SpoolError, match="is the disk full"):
            spool.append(TYPES, batch("lost"))
    spool.append(TYPES, batch("b"))
    spool.seal()

    assert ids(spool) == ["a", "b"]


def test_a_segment_that_could_not_be_begun_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(TYPES, batch("a"))
    spool.seal()

    def full(descriptor: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        for _ in range(2):
            with pytest.raises(SpoolError, match="No space left"):
                spool.append(TYPES, batch("refused"))
        spool.discard(spool.sealed())
    assert list(spool.folder.glob("*.seg")) == []
    spool.append(TYPES, batch("b"))
    spool.seal()

    (number,) = spool.sealed()
    assert ids(spool) == ["b"]
    assert (spool.read(number).types, spool.read(number).damaged) == (TYPES, 0)


def test_no_two_segments_have_the_same_name_whatever_is_left_of_the_folder(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    names = []
    for _ in range(4):
        for name in ("a", "b"):
            spool.append(TYPES, batch(name))
            spool.seal()
        names += [spool.name(number) for number in spool.sealed()]
        spool.discard(spool.sealed())
        spool = reopened(spool)
        assert spool.sealed() == []

    assert len(set(names)) == 8
    assert [sequence for _, sequence in names] == [1, 2] * 4
    assert list(spool.folder.glob("*.seg")) == []


def test_a_segment_says_its_name_until_its_beginning_is_damaged(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(TYPES, batch("a"))
    spool.seal()
    (number,) = spool.sealed()
    segment = spool.read(number)
    assert spool.name(number) == (spool.epoch, 1) == (segment.epoch, segment.sequence)

    path = next(spool.folder.glob("*.seg"))
    content = path.read_bytes()
    for damaged in (b"", content[:10], content[:30], content.replace(b"epoch", b"epocx"), b"everfit1" + content[8:]):
        path.write_bytes(damaged)
        assert spool.name(number) == ("", 0)


def test_two_processes_never_share_a_folder(tmp_path: Path) -> None:
    first, second = Spool.claim(tmp_path), Spool.claim(tmp_path)

    assert first.folder != second.folder
    assert first.epoch != second.epoch
    with pytest.raises(SpoolError, match="a running process has the spool"):
        Spool(first.folder)
    first.close()
    again = Spool.claim(tmp_path)
    assert again.folder == first.folder
    assert again.epoch != first.epoch  # which is of the process and not of the folder


def test_what_was_acknowledged_outlives_sigkill(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from everfit.infra.serving.spool import Spool
spool = Spool(Path({str(tmp_path / "s")!r}), segment_bytes=2000)
number = 0
while True:
    spool.append({TYPES!r}, {{"_prediction_id": [f"id-{{number}}"], "x": [0.5]}})
    sys.stdout.write(f"id-{{number}}\\n")
    sys.stdout.flush()
    number += 1
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    answered = [process.stdout.readline().strip() for _ in range(500)]
    process.send_signal(signal.SIGKILL)
    answered += process.stdout.read().split()
    process.wait()
    process.stdout.close()

    kept = ids(Spool(tmp_path / "s"))

    assert kept[: len(answered)] == answered
    assert len(kept) - len(answered) <= 1
