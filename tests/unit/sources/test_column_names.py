"""Names of columns as people have them: each is read under a name of its own, or refused by one sentence."""

from pathlib import Path

import pandas as pd
import pytest
from support.source_files import ALL, ROLES, read, written

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import FilesSource
from everfit.tasks.sources import FileStates, read_source


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_names_that_begin_with_an_underscore_are_taken_under_another_name(tmp_path: Path, form: str):
    frame = pd.DataFrame(
        {"_id": [1, 2], "id": [3, 4], "at": ["2024-01-01"] * 2, "_amount": [1.5, 2.5], "_faults": ["", "x"]}
    )
    frame["y"] = 1
    path = tmp_path / f"a.{form}"
    match form:
        case "csv":
            frame.to_csv(path, index=False)
        case "parquet":
            frame.to_parquet(path, index=False)
        case _:
            frame.to_json(path, orient="records", lines=True)

    taken = read(path)

    assert list(taken) == ["id_2", "id", "at", "amount", "faults", "y"]
    assert taken["amount"].tolist() == [1.5, 2.5]


def test_names_that_a_csv_file_has_twice_are_renamed_and_told(tmp_path: Path):
    path, states = written(tmp_path, "id,id,at,id_2,id,_id,y\n1,2,2024-01-01,3,4,5,1\n"), FileStates()

    (piece,) = read_source(FilesSource(path=str(path)), ROLES, ALL, states)
    taken = piece.frame

    assert list(taken) == ["id", "id_3", "at", "id_2", "id_4", "id_5", "y"]
    assert taken.loc[0, ["id", "id_3", "id_2", "id_4", "id_5"]].tolist() == [1, 2, 3, 4, 5]
    assert states.remarks() == [
        "the column 'id' comes again, and is read as 'id_3'",
        "the column 'id' comes again, and is read as 'id_4'",
        "the column '_id' is read as 'id_5'",
    ]


def test_names_that_differ_by_case_alone_are_one_clear_error(tmp_path: Path):
    path = written(tmp_path, "ID,id,at,y\n1,2,2024-01-01,1\n")

    with pytest.raises(SourceError, match="has the columns 'ID' and 'id', which differ by case alone"):
        read(path)
