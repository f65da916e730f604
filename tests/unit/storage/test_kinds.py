"""The kind of a column is the join of its pieces' kinds, and every value is brought to it in one way."""

import itertools
import unicodedata
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.tasks.storage.kinds import Amount, Kind, PlainKind, common_kind, infer_kind
from everfit.tasks.storage.row_hashes import row_hashes
from everfit.tasks.storage.values import FAULTS, fold, lost_values, normalise, to_kind

KINDS: tuple[Kind, ...] = (*get_args(PlainKind), Amount.of(".", "$"), Amount.of(",", ""))


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
def test_the_order_of_the_pieces_does_not_matter(kinds: list[Kind]):
    assert len({common_kind(order) for order in itertools.permutations(kinds)}) == 1


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
def test_a_piece_that_comes_twice_changes_nothing(kinds: list[Kind]):
    assert common_kind([*kinds, *kinds]) == common_kind(kinds)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], "whole"),
        ([1.5, None], "decimal"),
        ([True, None], "boolean"),
        (["01067", "80331"], "text"),
        (["20240101000000000017", "20240101000000000018"], "text"),
        (["9007199254740993"], "text"),
        (["12.5", "7"], "numeral"),
        (["12", "7"], "digits"),
        (["true", "False"] * 20 + ["perhaps"], "boolean"),
        (["true", "false"] * 5 + ["perhaps"], "text"),
        (["true", "false"], "text"),
        (["1,250", "980"], "decimal"),
        ([Decimal("1.20")], "decimal"),
        ([timedelta(minutes=3)], "duration"),
        ([date(2024, 2, 29)], "day"),
        ([pd.Timestamp("2024-02-29 12:00")], "time"),
        ([None, None], "empty"),
    ],
)
def test_a_piece_shows_its_kind(values: list[Any], expected: Kind):
    assert infer_kind(pd.Series(values), is_key=False, is_label=False) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], "integer"),
        ([1.0, None, 3.0], "integer"),
        ([Decimal(10), Decimal(2**62)], "integer"),
        ([Decimal(10**20)], "text"),
        ([1.5], "decimal"),
        (["17", "18"], "digits"),
        (["17", "A8"], "text"),
        (["017", "018"], "text"),
    ],
)
def test_a_key_keeps_its_digits(values: list[Any], expected: Kind):
    assert infer_kind(pd.Series(values), is_key=True, is_label=False) == expected


def test_unsigned_keys_beyond_64_bits_are_text():
    column = pd.Series([2**63 + 1, 5], dtype="uint64")

    kind = infer_kind(column, is_key=True, is_label=False)

    assert to_kind(column, kind)[0].tolist() == ["9223372036854775809", "5"]


SAME_VALUES: list[tuple[Kind, list[Any]]] = [
    ("integer", [1200, 1200.0, "1200", Decimal(1200), np.int32(1200), "1200.0"]),
    ("decimal", [12.5, "12.5", " 12.50 ", Decimal("12.5"), np.float32(12.5)]),
    ("decimal", [1250, "1,250", "1250.0", Decimal(1250)]),
    ("boolean", [True, "true", "TRUE", 1, 1.0, "1", np.True_]),
    ("duration", [timedelta(minutes=10), 600, 600.0, "0 days 00:10:00", "600", np.timedelta64(10, "m")]),
    ("text", ["17", 17, 17.0, Decimal(17)]),
    ("folded", ["North 7", "NORTH 7", " north\u00a07 ", "\uff2e\uff4frth  \uff17"]),
    ("folded", ["17", 17, 17.0, Decimal(17), "\uff11\uff17 "]),
    ("folded", ["K\u00f6ln", "Ko\u0308ln", "K\u00d6LN"]),
    ("text", ["2024-02-29", date(2024, 2, 29), pd.Timestamp("2024-02-29", tz="UTC")]),
    (
        "time",
        ["2024-02-29T10:00:00Z", "2024-02-29 10:00", "2024-02-29T12:00:00+02:00", pd.Timestamp("2024-02-29 10:00")],
    ),
]


@pytest.mark.parametrize(("kind", "values"), SAME_VALUES)
def test_a_value_has_one_hash_however_it_is_written(kind: Kind, values: list[Any]):
    frames = [normalise(pd.DataFrame({"v": pd.Series([value], dtype=object)}), {"v": kind}) for value in values]

    assert all(frame[FAULTS].isna().all() for frame in frames)
    assert len({int(row_hashes(frame, ["v"])[0]) for frame in frames}) == 1


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("decimal", "dear", "v: 'dear' is no number"),
        ("decimal", np.inf, "v: 'inf' is not finite"),
        ("decimal", "-Infinity", "v: '-Infinity' is not finite"),
        ("whole", -np.inf, "v: '-inf' is not finite"),
        ("decimal", 1e300, "v: '1e+300' is too large to compute with; the largest number is 3.4e+38"),
        ("whole", "-4e38", "v: '-4e38' is too large to compute with; the largest number is 3.4e+38"),
        ("integer", "007", "v: '007' is no whole number"),
        ("integer", 1.5, "v: '1.5' is no whole number"),
        ("integer", "12345678901234567890", "v: '12345678901234567890' is no whole number"),
        ("boolean", 2, "v: '2' is no boolean"),
        ("boolean", "perhaps", "v: 'perhaps' is no boolean"),
        ("time", "yesterday", "v: 'yesterday' is no time"),
        ("duration", "a while", "v: 'a while' is no duration"),
    ],
)
def test_a_value_that_does_not_fit_is_a_fault_of_its_row(kind: Kind, value: Any, reason: str):
    frame = normalise(pd.DataFrame({"v": pd.Series([value, None], dtype=object)}), {"v": kind})

    assert frame["v"].isna().all()
    assert frame[FAULTS].tolist() == [f"{reason}; ", ""]
    assert lost_values(f"y is above 5; {reason}; shop is unknown") == f"{reason}; "
    assert lost_values("y is above 5; v: 'red' is not in the set") == ""


@pytest.mark.slow
@given(st.text(max_size=12))
def test_a_folded_text_stays_as_it_is_and_its_spellings_give_the_same(text: str):
    folded = fold(text)

    assert fold(folded) == folded
    assert {fold(f" {text} "), fold(unicodedata.normalize("NFD", text)), fold(text.casefold())} == {folded}
