"""Files and frames on their way in: names of columns, broken lines, folders, empty files."""

from datetime import UTC, datetime

import pandas as pd
import pytest
from support.turns import Loop, sales

from everfit.blocks.errors import SourceError
from everfit.tasks.data.quarantine_acceptance import accept_rows
from everfit.tasks.sources.function import _plain

FEBRUARY, MARCH, APRIL = (datetime(2024, month, 1, tzinfo=UTC) for month in (2, 3, 4))


def test_names_of_a_frame_are_texts_and_each_its_own(loop: Loop):
    with pytest.raises(SourceError, match=r"has the column 'x' twice; give each column its own name"):
        _plain(pd.DataFrame([[1, 2]], columns=["x", "x"]), "shop:rows")
    with pytest.raises(SourceError, match="the column names have 2 levels"):
        _plain(pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "shop:rows")

    assert _plain(pd.DataFrame([[1]], columns=[0], index=[7]), "shop:rows").to_dict() == {"0": {0: 1}}


def test_named_levels_of_an_index_are_columns(loop: Loop):
    rows = sales(100)

    frame = _plain(rows.set_index(["id", "at"]), "shop:rows")
    pd.testing.assert_frame_equal(frame, rows)
    pd.testing.assert_frame_equal(_plain(rows.set_index("at", drop=False), "shop:rows"), rows)

    (loop.folder / "data").mkdir()
    rows.set_index(["id", "at"]).to_parquet(loop.folder / "data" / "a.parquet")
    _, validation = loop.turn(FEBRUARY)
    assert (validation.accepted, list(loop.dataset()["id"])[:2]) == (100, [0, 1])


def test_what_is_passed_over_or_renamed_is_noted(loop: Loop):
    loop.write("sales.csv", sales(100).assign(_margin=1.0))
    (loop.folder / "data" / "march.xlsx").write_bytes(b"PK")

    batch, _ = loop.turn(FEBRUARY)

    assert "the column '_margin' is read as 'margin'" in batch.notes
    assert any("march.xlsx' looks like data" in note for note in batch.notes)


@pytest.mark.slow
def test_broken_lines_go_to_quarantine_each_with_its_reason_and_once(loop: Loop):
    # Given two lines of too many values, alike but for their place, and one of too few,
    lines = sales(200).to_csv(index=False).splitlines()
    lines[5:5] = ["7,2024-01-03,1.5,north,1,1", "7"]
    lines.append("7,2024-01-03,1.5,north,1,1")
    path = loop.folder / "data" / "month=1" / "sales.csv"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n")

    # when a turn reads them,
    batch, validation = loop.turn(FEBRUARY)

    # then the good rows are taken, and each line is kept with what is wrong with it.
    assert (validation.accepted, validation.quarantined, batch.duplicates) == (200, 3, 0)
    assert set(loop.dataset()["month"]) == {1}
    assert sorted(loop.quarantine()["_reasons"]) == [
        "line 204 has 6 values in place of 5: '7,2024-01-03,1.5,north,1,1'",
        "line 6 has 6 values in place of 5: '7,2024-01-03,1.5,north,1,1'",
        "line 7 has 1 value in place of 5: '7'",
    ]
    assert any("3 lines of " in note for note in batch.notes)

    # The same lines are known when the file has grown, and nobody can accept them.
    path.write_text("\n".join([*lines, *sales(9, "2024-02-02", first=900).to_csv(index=False).splitlines()[1:]]))
    batch, validation = loop.turn(MARCH)
    assert (validation.accepted, validation.quarantined) == (9, 0)
    assert accept_rows(loop.spec, loop.workspace, MARCH).still_bad == 3


def test_broken_lines_of_json_go_to_quarantine_too(loop: Loop):
    lines = sales(60).assign(at=lambda rows: rows["at"].map(str)).to_json(orient="records", lines=True).splitlines()
    (loop.folder / "data").mkdir()
    (loop.folder / "data" / "sales.jsonl").write_text("\n".join([*lines[:30], '{"id": 7, "at"', "[1]", *lines[30:]]))

    _, validation = loop.turn(FEBRUARY)

    assert (validation.accepted, validation.quarantined) == (60, 2)
    assert sorted(reason[:18] for reason in loop.quarantine()["_reasons"]) == [
        "line 31 is no JSON",
        "line 32 holds list",
    ]


def test_a_folder_that_says_other_than_its_files_is_noted(loop: Loop):
    for name, shop in (("shop=north", "north"), ("shop=east", "south")):
        (loop.folder / "data" / name).mkdir(parents=True)
        loop.write(f"{name}/sales.csv", sales(50, first=len(name) * 100).assign(shop=shop))

    batch, _ = loop.turn(FEBRUARY)

    said = [note for note in batch.notes if note.startswith("the folder")]
    assert said == ["the folder 'shop=east' says other than the column of its files; the column counts"]
    assert set(loop.dataset()["shop"]) == {"north", "south"}


def test_an_empty_file_among_the_rest_is_named_and_read_once_it_has_rows(loop: Loop):
    loop.write("a.csv", sales(200))
    for name in ("b.csv", "c.parquet", "d.jsonl"):
        (loop.folder / "data" / name).write_bytes(b"")

    batch, _ = loop.turn(FEBRUARY)
    loop.write("b.csv", sales(100, "2024-02-05", first=1000))
    later, _ = loop.turn(MARCH)

    assert (batch.new, later.new) == (200, 100)
    assert [note.rpartition("/")[2] for note in batch.notes] == [
        f"{name}' is empty, so it is passed over" for name in ("b.csv", "c.parquet", "d.jsonl")
    ]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_files_with_only_later_rows_are_named_until_they_are_used(loop: Loop, form: str):
    """Given files of next month beside this month's, when a turn reads them, then it says that it does not use them."""
    for name, since in (("a", "2024-01-01"), ("b", "2024-02-05"), ("c", "2024-02-07")):
        loop.write(f"{name}.{form}", sales(100, since, first=1000 * ord(name)))

    batch, _ = loop.turn(FEBRUARY)
    later, _ = loop.turn(MARCH)

    assert (batch.new, later.new) == (100, 200)
    assert [note.rpartition("/")[2] for note in batch.notes] == [
        f"b.{form}' and 1 other file have only rows after this moment, which are not used yet"
    ]
    assert later.notes == ()


def test_a_source_of_empty_files_alone_is_an_error(loop: Loop):
    loop.write("a.csv", sales(200))
    (loop.folder / "data" / "a.csv").write_bytes(b"")

    with pytest.raises(SourceError, match="is empty; remove it, or provide a file with a header and rows"):
        loop.turn(FEBRUARY)
