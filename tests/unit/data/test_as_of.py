"""Joins as of the event: what an independent join finds by looking at every row, and never a later row."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from everfit.blocks.joins import Join
from everfit.infra.serving.feature_lookup import LookupIndex
from everfit.tasks.data import as_of
from everfit.tasks.data.as_of import AS_OF, AsOfRows, key_hashes, row_versions
from everfit.tasks.storage.kinds import Kind

START = datetime(2024, 1, 1, tzinfo=UTC)

Known = tuple[int | None, int | None, int | None, int]
"""Key, hours of `valid_from` and of `loaded_at`, and value of a row to join."""


def join(**changes: Any) -> Join:
    content = {"source": {"path": "x.csv"}, "on": "shop", "as_of": "valid_from", "columns": ["rate"]}
    return Join.model_validate(content | changes)


def at(hours: int | None) -> datetime | None:
    return None if hours is None else START + timedelta(hours=hours)


def table(rows: Sequence[Known]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "shop": pd.array([key for key, _, _, _ in rows], dtype="Int64"),
            "valid_from": pd.to_datetime([at(since) for _, since, _, _ in rows], utc=True),
            "loaded_at": pd.to_datetime([at(loaded) for _, _, loaded, _ in rows], utc=True),
            "rate": [float(value) for _, _, _, value in rows],
        }
    )
    return frame.astype({"valid_from": "datetime64[us, UTC]", "loaded_at": "datetime64[us, UTC]"})


def joined(one: Join, pieces: Sequence[pd.DataFrame], events: pd.DataFrame, folder: Path, kind: Kind = "integer"):
    rows = AsOfRows(one, dict.fromkeys(one.on.values(), kind), folder)
    for piece in pieces:
        rows.add(piece)
    rows.finish()
    return rows.joined(events, "at"), rows


def expected(
    rows: Sequence[Known], key: int | None, event: int | None, within: int | None, *, late: bool
) -> float | None:
    """The value of the row that counts, found by looking at every row."""
    best: tuple[int, int, int] | None = None
    for place, (shop, since, loaded, _) in enumerate(rows):
        if key is None or event is None or shop != key or since is None or since > event:
            continue
        if late and (loaded is None or loaded > event):
            continue
        if within is not None and since < event - within:
            continue
        rank = (since, max(loaded or 0, since) if late else 0, place)
        best = rank if best is None or rank > best else best
    return None if best is None else float(rows[best[2]][3])


hours = st.none() | st.integers(0, 30)
known_rows = st.lists(st.tuples(st.none() | st.integers(1, 3), hours, hours, st.integers(0, 99)), max_size=25)
event_rows = st.lists(st.tuples(st.none() | st.integers(1, 4), hours), min_size=1, max_size=12)


@pytest.mark.slow
@given(
    rows=known_rows,
    events=event_rows,
    within=st.none() | st.integers(1, 20),
    late=st.booleans(),
    cut=st.integers(0, 25),
)
@settings(max_examples=examples(150), deadline=None)
def test_each_row_gets_what_a_look_at_every_row_finds(tmp_path_factory, rows, events, within, late, cut):
    one = join(within=None if within is None else timedelta(hours=within), available_at="loaded_at" if late else None)
    given_events = pd.DataFrame(
        {
            "shop": pd.array([key for key, _ in events], dtype="Int64"),
            "at": pd.to_datetime([at(event) for _, event in events], utc=True).as_unit("us"),
        }
    )
    pieces = [piece for piece in (table(rows[:cut]), table(rows[cut:])) if len(piece)]

    for held in (as_of.HELD_VALUES, 10):  # in memory, and in files
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(as_of, "HELD_VALUES", held)
            patch.setattr(as_of, "PARTS", 3)
            found, known = joined(one, pieces, given_events, tmp_path_factory.mktemp("join"))

        assert [None if pd.isna(value) else value for value in found["rate"]] == [
            expected(rows, key, event, within, late=late) for key, event in events
        ]
        assert not (found[AS_OF] > given_events["at"]).any()
        assert list(found[AS_OF].isna()) == list(found["rate"].isna())
        index = LookupIndex.of(known)  # the prediction service finds the same
        keys, complete = key_hashes(given_events, {"shop": "shop"}, {"shop": "integer"})
        asked = (complete & given_events["at"].notna()).to_numpy()
        moments = given_events["at"][asked].astype("int64").tolist()
        served = index.find(keys[asked], moments)
        assert row_versions(served, ("rate",)).tolist() == row_versions(found[asked], ("rate",)).tolist()


@pytest.mark.parametrize(
    ("kind", "ours", "theirs", "found"),
    [
        ("integer", [7, 8], ["7", "08"], [1.0, None]),  # 08 is a code, and no number
        ("text", ["007", "7"], ["007", "7"], [1.0, 2.0]),
        ("text", ["7", "8"], [7.0, 8.0], [1.0, 2.0]),
        ("decimal", [7.5, 8.0], ["7.50", "8"], [1.0, 2.0]),
        ("boolean", [True, False], ["true", "0"], [1.0, 2.0]),
        ("day", ["2024-02-01", "2024-02-02"], pd.to_datetime(["2024-02-01", "2024-02-02"]), [1.0, 2.0]),
        ("text", ["a", None], ["a", None], [1.0, None]),  # nothing is no key
    ],
)
def test_a_key_means_the_same_however_it_is_written(tmp_path: Path, kind: Kind, ours, theirs, found):
    known = pd.DataFrame({"shop": theirs, "valid_from": pd.Timestamp(START), "rate": [1.0, 2.0]})
    events = pd.DataFrame({"shop": ours, "at": pd.Timestamp(START)})

    result, _ = joined(join(), [known], events, tmp_path, kind)

    assert [None if pd.isna(value) else value for value in result["rate"]] == found


def test_times_of_other_zones_are_the_same_moments(tmp_path: Path):
    known = pd.DataFrame({"shop": [1, 1], "rate": [1.0, 2.0]})
    known["valid_from"] = pd.to_datetime(["2024-01-01T10:00:00+05:00", "2024-01-01T05:00:01Z"], utc=True)
    events = pd.DataFrame({"shop": [1], "at": pd.to_datetime(["2024-01-01T00:00:00-05:00"], utc=True)})

    result, _ = joined(join(), [known], events, tmp_path)

    assert result["rate"].tolist() == [1.0]


def test_of_rows_with_the_same_key_and_times_the_last_counts_and_they_are_reported(tmp_path: Path):
    known = pd.DataFrame({"shop": [1, 1, 1, 2, 2], "valid_from": pd.Timestamp(START), "rate": [1.0, 2, 3, 5, 5]})
    events = pd.DataFrame({"shop": [1, 2], "at": pd.Timestamp(START)})

    result, rows = joined(join(), [known], events, tmp_path)

    assert (result["rate"].tolist(), rows.contradictions) == ([3.0, 5.0], 2)


def test_names_of_the_key_may_differ(tmp_path: Path):
    known = pd.DataFrame({"id": [1, 2], "valid_from": pd.Timestamp(START), "rate": [1.0, 2.0]})
    rows = AsOfRows(join(on={"shop": "id"}), {"shop": "integer"}, tmp_path)
    rows.add(known)
    rows.finish()

    found = rows.joined(pd.DataFrame({"shop": [2, 3], "at": pd.Timestamp(START)}), "at")

    assert found["rate"].fillna(-1).tolist() == [2.0, -1]
