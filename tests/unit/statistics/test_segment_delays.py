"""Kinds of rows whose labels take longer are named with a delay that is right; where all take as long, none is."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from everfit.tasks.statistics.segment_delays import slow_segments

NOW = pd.Timestamp("2024-03-01", tz="UTC")
ROWS = 5_000


def world(seed: int, slow: float, fast: float, days: int = 60) -> pd.DataFrame:
    """Rows of the last days; a fifth is from the north, whose delays have another mean."""
    random = np.random.default_rng(seed)
    region = random.choice(["north", "south", "east", "west", "centre"], ROWS)
    events = pd.Series(NOW - pd.to_timedelta(random.uniform(0, days, ROWS), unit="D"))
    mean = np.where(region == "north", slow, fast)
    known = events + pd.to_timedelta(pd.Series(mean * random.exponential(1, ROWS)), unit="D")
    kind = random.choice(["a", "b"], ROWS)
    return pd.DataFrame({"at": events, "known": known.where(known <= NOW), "region": region, "kind": kind})


@pytest.mark.slow
def test_the_slow_kind_is_named_with_its_delay() -> None:
    rows = world(0, 10.0, 2.0)
    (found,) = slow_segments(rows, ["kind", "region", "at"], "at", "known", NOW, maturity=timedelta(days=20))

    truth = -10.0 * np.log(0.01)
    assert found.name == "region = north"
    assert found.days == pytest.approx(truth, rel=0.1)
    assert found.lower <= truth * 1.02
    assert found.upper >= truth * 0.98
    assert found.elsewhere == pytest.approx(-2.0 * np.log(0.01), rel=0.1)
    assert found.late is not None
    assert found.late == pytest.approx(np.exp(-20 / 10), abs=0.05)
    assert "come after the maturity" in found.summary


@pytest.mark.slow
def test_where_all_take_as_long_none_is_named() -> None:
    named = [slow_segments(world(seed, 6.0, 6.0), ["kind", "region"], "at", "known", NOW) for seed in range(20)]
    assert not any(named)


@pytest.mark.slow
def test_a_kind_of_quick_rows_and_columns_of_many_values_are_no_slow_kind() -> None:
    rows = world(1, 2.0, 10.0).assign(id=np.arange(ROWS))
    named = [one.name for one in slow_segments(rows, ["id", "region"], "at", "known", NOW)]
    assert not any(name.startswith("id") for name in named)
    assert "region = north" not in named
