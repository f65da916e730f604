"""Values that differ only by how they are written are named by `everfit init`."""

import pandas as pd
import pytest

from everfit.deployments.init.spellings import spelling_notes


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
    [note] = spelling_notes(pd.DataFrame({"region": [*values * 3, values[0], None, "South"], "x": range(9)}))

    assert note.startswith("'region' has values in several spellings, such as ")
    assert said in note
    assert "3 rows have the rarer spellings" in note


def test_different_values_are_left_alone() -> None:
    assert spelling_notes(pd.DataFrame({"region": ["North", "South", None], "n": [1, 2, 3]})) == []
