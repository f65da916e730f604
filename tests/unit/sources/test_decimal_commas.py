"""Numbers with a decimal comma and points between thousands are numbers, in whatever way a file separates values."""

from pathlib import Path

import pandas as pd
import pytest

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.sources.csv_files import read_csv


def read(folder: Path, text: str, encoding: str = "utf-8") -> pd.DataFrame:
    path = folder / "rows.csv"
    path.write_bytes(text.encode(encoding))
    source = FilesSource(path=str(path), encoding=encoding)
    batches = read_csv(str(path), source, ColumnRoles(key=("id",), target="y"), str(path))
    return pd.concat([batch.to_pandas() for batch in batches], ignore_index=True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "text",
    [
        "id;x;y\n1;1.234,56;0\n2;12,50;1\n3;1.234;0\n4;-2.000.000,1;1\n5;7;1\n6;;0\n",
        'id,x,y\n1,"1.234,56",0\n2,"12,50",1\n3,"1.234",0\n4,"-2.000.000,1",1\n5,7,1\n6,,0\n',
    ],
)
def test_points_between_thousands_are_no_decimal_points(tmp_path: Path, text: str, encoding: str) -> None:
    rows = read(tmp_path, text, encoding)

    assert rows["x"].tolist()[:5] == [1234.56, 12.5, 1234.0, -2_000_000.1, 7.0]
    assert rows["x"].isna().tolist() == [False] * 5 + [True]


def test_a_decimal_comma_alone_stays_a_decimal_comma(tmp_path: Path) -> None:
    assert read(tmp_path, "id;x;y\n1;12,50;0\n2;0,5;1\n")["x"].tolist() == [12.5, 0.5]


def test_a_decimal_point_stays_a_decimal_point(tmp_path: Path) -> None:
    rows = read(tmp_path, 'id,x,z,y\n1,12.50,"1,234",0\n2,1.234,"2,345.5",1\n')

    assert rows["x"].tolist() == [12.5, 1.234]
    assert rows["z"].tolist() == ["1,234", "2,345.5"]  # of which the kinds make numbers


def test_other_values_among_numbers_stay_visible(tmp_path: Path) -> None:
    numbers = "\n".join(f"{row};1.{row:03},5;0" for row in range(1, 100))

    assert read(tmp_path, f"id;x;y\n{numbers}\n100;k.A.;1\n")["x"].tolist()[-2:] == ["1099.5", "k.A."]


def test_text_and_the_key_are_left_alone(tmp_path: Path) -> None:
    rows = read(tmp_path, "id;x;note;y\n1.234,5;1,5;10,5 kg;0\n2.345,5;2,5;about 1.000,5;1\n")

    assert rows["id"].tolist() == ["1.234,5", "2.345,5"]
    assert rows["note"].tolist() == ["10,5 kg", "about 1.000,5"]


@pytest.mark.parametrize(("bad", "count"), [("2,3", 2), ("2,3,1,9", 4)])
def test_a_row_with_too_few_or_too_many_values_is_named(tmp_path: Path, bad: str, count: int) -> None:
    with pytest.raises(SourceError, match=rf"Row #3: Expected 3 columns, got {count}: {bad}; repair the file"):
        read(tmp_path, f"id,x,y\n1,2,0\n{bad}\n3,4,1\n")
