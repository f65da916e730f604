"""A profile says what the reference was; rows are counted over its cells in any chunks."""

import itertools
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from everfit.blocks.errors import DataError
from everfit.tasks.statistics.histograms import Histograms, count_chunks, histograms
from everfit.tasks.statistics.profile import Profile, profile_frame, reference_sample


def _frame(rows: int = 2_000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "temperature": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(10, 5, rows)),
            "rain": np.where(rng.random(rows) < 0.6, 0.0, rng.exponential(2, rows)),
            "gates": rng.integers(1, 5, rows),
            "carrier": rng.choice(["AA", "UA", "DL", None], rows),
            "night": rng.random(rows) < 0.3,
            "when": pd.date_range("2026-01-01", periods=rows, freq="min", tz="UTC"),
            "score": rng.random(rows),
        }
    )


FEATURES = ["temperature", "rain", "gates", "carrier", "night", "when"]


def test_each_column_is_described_by_its_kind() -> None:
    frame = _frame()
    profile = profile_frame(frame, FEATURES, predictions=["score"], event_time="when")

    assert {column.name: column.kind for column in profile.columns} == {
        "temperature": "numeric",
        "rain": "numeric",
        "gates": "numeric",
        "carrier": "categorical",
        "night": "boolean",
        "score": "numeric",
    }
    assert list(profile.left_out) == ["when"]
    assert profile.column("score").role == "prediction"
    temperature = profile.column("temperature")
    assert temperature.missing == frame["temperature"].isna().sum()
    assert temperature.minimum == frame["temperature"].min()
    assert temperature.quantiles[50] == pytest.approx(frame["temperature"].median(), abs=0.05)
    assert sum(temperature.cells) == temperature.rows - temperature.missing
    assert max(temperature.cells) - min(temperature.cells) <= 1
    assert (profile.since, profile.until) == (frame["when"].iloc[0], frame["when"].iloc[-1])


def test_the_profile_knows_its_pace() -> None:
    profile = profile_frame(_frame(), FEATURES, event_time="when")
    assert profile.expected_rows(timedelta(hours=1)) == pytest.approx(60, rel=0.01)
    assert profile_frame(_frame(), FEATURES).expected_rows(timedelta(hours=1)) is None


def test_a_frequent_value_and_each_value_of_a_discrete_column_have_cells_of_their_own() -> None:
    frame = _frame()
    profile = profile_frame(frame, ["rain", "gates"])
    assert (frame["rain"] == 0).sum() in profile.column("rain").cells
    assert [count for count in profile.column("gates").cells if count] == frame[
        "gates"
    ].value_counts().sort_index().tolist()


def test_a_float32_log_falls_into_the_same_cells() -> None:
    frame = pd.DataFrame({"price": np.random.default_rng(0).choice([0.1, 0.2, 0.7], 500)})
    profile = profile_frame(frame, ["price"])
    assert histograms(frame.astype("float32"), profile).columns[0].cells == profile.columns[0].cells
    assert histograms(frame.astype("float32"), profile).columns[0].outside == 0


def test_a_code_keeps_its_name_when_missing_values_make_it_a_float() -> None:
    profile = profile_frame(pd.DataFrame({"code": [1, 2, 2, 3]}), ["code"], kinds={"code": "categorical"})
    counts = histograms(pd.DataFrame({"code": [1.0, 2.0, np.nan]}), profile)
    assert profile.column("code").categories == ("2", "1", "3")
    assert counts.column("code").cells == (1, 1, 0, 0, 0)
    assert counts.column("code").missing == 1


def test_a_flag_may_be_logged_as_a_number() -> None:
    profile = profile_frame(pd.DataFrame({"night": [True, True, False]}), ["night"])
    for logged in ([1, 0, 0], [1.0, 0.0, None, 0.0], ["true", "false", "false"], [True, False, False]):
        counts = histograms(pd.DataFrame({"night": logged}), profile).column("night")
        assert (counts.cells, counts.unseen) == ((1, 2, 0, 0), {})


def test_counts_that_were_stored_give_the_same_order_of_unseen_categories() -> None:
    profile = profile_frame(pd.DataFrame({"x": ["a"]}), ["x"])
    counts = histograms(pd.DataFrame({"x": ["b", "c", "c", "a"]}), profile)
    stored = Histograms.model_validate_json(counts.canonical_json())
    assert stored.column("x").unseen_first == counts.column("x").unseen_first == ("c", "b")


def test_many_categories_are_bounded() -> None:
    frame = pd.DataFrame({"id": np.arange(5_000).astype(str)})
    profile = profile_frame(frame, ["id"])
    assert len(profile.canonical_json()) < 50_000
    assert not profile.column("id").complete
    # What isn't known by name can't be called unseen.
    assert histograms(pd.DataFrame({"id": ["new"]}), profile).column("id").unseen == {}


def test_a_category_that_was_hardly_used_at_the_end_has_waned() -> None:
    shop = ["old"] * 400 + ["both", "old"] * 200 + ["both", "new"] * 100 + ["rare"] * 5
    frame = pd.DataFrame({"shop": shop, "at": pd.date_range("2026-01-01", periods=len(shop), freq="h", tz="UTC")})
    shuffled = frame.sample(frac=1, random_state=0)
    assert profile_frame(shuffled, ["shop"], event_time="at").column("shop").waned == ("old",)
    assert profile_frame(frame.iloc[:400], ["shop"]).column("shop").waned == ()


@settings(max_examples=examples(40), deadline=None)
@given(cuts=st.lists(st.integers(0, 300), max_size=5), seed=st.integers(0, 99))
def test_counts_of_chunks_add_up_to_those_of_the_whole(cuts: list[int], seed: int) -> None:
    profile = profile_frame(_frame(400), FEATURES, predictions=["score"])
    frame = _frame(300, seed)
    bounds = [0, *sorted(cuts), 300]
    chunks = [frame.iloc[start:end] for start, end in itertools.pairwise(bounds)]

    total, whole = count_chunks(chunks, profile), histograms(frame, profile)

    # Repeated rows and the most frequent number are those of each chunk, so they aren't compared.
    for one, other in zip(total.columns, whole.columns, strict=True):
        assert one.model_dump(exclude={"frequent"}) == other.model_dump(exclude={"frequent"})
    assert total.rows == whole.rows


def test_counts_over_different_profiles_do_not_add_up() -> None:
    one, other = (histograms(_frame(100), profile_frame(_frame(200, seed), FEATURES)) for seed in (1, 2))
    with pytest.raises(DataError, match="don't add up"):
        _ = one + other


def test_any_order_of_the_rows_gives_the_same_profile_when_the_event_time_orders_them() -> None:
    frame = _frame()
    shuffled = frame.sample(frac=1, random_state=3)
    profiles = [profile_frame(side, FEATURES[:4], event_time="when") for side in (frame, shuffled)]
    # Sums of floats depend on the order in their last digits.
    first, second = (profile.model_dump(exclude={"columns": {"__all__": {"mean", "std"}}}) for profile in profiles)
    assert first == second


def test_a_profile_is_read_as_it_was_written() -> None:
    frame = _frame().assign(empty=np.nan, constant=1.0, nothing=None)
    profile = profile_frame(frame, [*FEATURES, "empty", "constant", "nothing"], predictions=["score"])
    read = Profile.model_validate_json(profile.canonical_json())
    assert (read, read.digest()) == (profile, profile.digest())


def test_infinite_values_count_as_missing() -> None:
    profile = profile_frame(pd.DataFrame({"x": [1.0, 2.0, np.inf, -np.inf]}), ["x"])
    assert (profile.column("x").missing, profile.column("x").maximum) == (2, 2.0)


def test_text_in_a_numeric_column_is_counted_as_invalid() -> None:
    profile = profile_frame(pd.DataFrame({"x": [1.0, 2.0]}), ["x"])
    counts = histograms(pd.DataFrame({"x": ["1", "two", None]}), profile).column("x")
    assert (counts.invalid, counts.missing, counts.values) == (1, 2, 1)


def test_a_column_that_is_gone_is_counted_as_not_present() -> None:
    profile = profile_frame(_frame(100), FEATURES)
    assert not histograms(_frame(50).drop(columns="rain"), profile).column("rain").present


def test_the_reference_sample_is_exactly_repeatable() -> None:
    frame = _frame()
    first, second = (reference_sample(frame, 100, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert len(first) == 100
    assert not first.equals(reference_sample(frame, 100, seed=5))
    assert len(reference_sample(frame, 10_000)) == len(frame)


def test_no_rows_and_unknown_columns_are_errors() -> None:
    with pytest.raises(DataError, match="no rows"):
        profile_frame(_frame().iloc[:0], FEATURES)
    with pytest.raises(DataError, match="'wind' isn't in the frame"):
        profile_frame(_frame(), ["wind"])
    with pytest.raises(DataError, match="no column 'wind'"):
        profile_frame(_frame(), FEATURES).column("wind")
