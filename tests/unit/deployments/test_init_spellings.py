"""Values that differ only by how they are written are named by `everfit init`."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from everfit.blocks.spec import ModelSpec
from everfit.deployments.init.init import init
from everfit.deployments.init.spellings import padded_key_notes, spelling_notes
from everfit.tasks.core.spec_loading import read_spec


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["North", "North "], "'North' and 'North ' (they differ by blanks)"),
        (["North", "NORTH"], "'NORTH' and 'North' (they differ by letter case)"),
        (["e\u0301t\u00e9", "\u00e9t\u00e9"], "(they differ by Unicode form)"),
        (["a\u00a0b", "a b"], "'a b' and 'a\\xa0b' (they differ by blanks and Unicode form)"),
        (["North", "north "], "'North' and 'north ' (they differ by blanks, letter case and Unicode form)"),
    ],
)
def test_several_spellings_of_a_value_are_named(values: list[str], said: str) -> None:
    notes = spelling_notes(pd.DataFrame({"region": [*values * 3, values[0], None, "South"], "x": range(9)}))

    note = notes.pop("region")
    assert not notes
    assert note.startswith("'region' has values in several spellings, such as ")
    assert said in note
    assert "3 rows have the rarer spellings" in note


def test_different_values_are_left_alone() -> None:
    assert spelling_notes(pd.DataFrame({"region": ["North", "South", None], "n": [1, 2, 3]})) == {}


def test_keys_with_blanks_at_an_end_are_named() -> None:
    keys = pd.DataFrame({"id": ["A1  ", "A12 "], "shop": ["1", "2"], "n": [1, 2]})

    assert list(padded_key_notes(keys)) == ["id"]
    assert "such as 'A1  '" in padded_key_notes(keys)["id"]


def test_keys_that_differ_by_their_spelling_are_left_alone() -> None:
    assert padded_key_notes(pd.DataFrame({"id": ["aB1 ", "AB1"]})) == {}


def test_a_spec_proposes_to_take_spellings_for_the_same(tmp_path: Path) -> None:
    rows = pd.DataFrame({"id": [f"A{number:03d} " for number in range(400)]})
    rows["at"] = pd.date_range("2024-01-01", periods=400, freq="h")
    rows["region"] = [("North", "north ", "South")[number % 3] for number in range(400)]
    rows["y"] = [number * 7 % 5 % 2 for number in range(400)]
    rows.to_parquet(tmp_path / "rows.parquet")

    init(str(tmp_path / "rows.parquet"), target="y", key=("id",), output=tmp_path / "m.yaml")
    text = (tmp_path / "m.yaml").read_text()

    assert "  # any_spelling: [region, id]\n" in text
    chosen = text.replace("  # any_spelling", "  any_spelling")
    assert ModelSpec.model_validate(yaml.safe_load(chosen)).columns.any_spelling == ("region", "id")


@pytest.mark.parametrize(
    "name",
    [
        "bell\x07",
        "del\x7f",
        "next\x85line",
        "line\u2028",
        "mark\ufeff",
        "two\nlines",
        "c\x9b31m",
        ".5",
        "\U0001f600 mood",
    ],
)
def test_any_name_of_a_column_is_read_back_from_the_spec(tmp_path: Path, name: str) -> None:
    """Given a header with characters that YAML does not allow, when init writes a spec, then it has the same names."""
    rows = pd.DataFrame({"id": range(300), "at": pd.date_range("2024-01-01", periods=300, freq="h")})
    rows[name] = [number % 7 for number in range(300)]
    rows[f"{name} always"] = 1
    rows["y"] = [number * 7 % 5 % 2 for number in range(300)]
    rows.to_parquet(tmp_path / "rows.parquet")

    init(str(tmp_path / "rows.parquet"), target="y", key=("id",), output=tmp_path / "m.yaml")

    columns = read_spec((tmp_path / "m.yaml").read_text(encoding="utf-8"), "m.yaml").columns
    assert list(columns.features) == [name]
    assert f"{name} always" in columns.ignore
