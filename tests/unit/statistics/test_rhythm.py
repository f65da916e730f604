"""The rhythm of rows by hour, weekday and trend: few false alarms on quiet days, and half a Monday is found."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from everfit.tasks.core.extensions import load_extension
from everfit.tasks.statistics.column_rhythm import UnusualValues, check_column_rhythm
from everfit.tasks.statistics.hourly import Hourly, HourlyTally
from everfit.tasks.statistics.volume import VolumeCheck, check_volume

MONDAY = 476_712
"""Monday 2024-05-20 00:00 UTC, in hours since 1970."""
WEEK = 168


@dataclass(frozen=True)
class Shop:
    """A made-up series of orders with a daily and weekly pattern, trend, season, and days that depend on each other."""

    base: float = 300
    weekend: float = 0.3
    trend: float = 0.01
    season: float = 0.2
    day_spread: float = 0.07
    hour_spread: float = 0.1
    holidays: tuple[int, ...] = ()

    def orders(self, rng: np.random.Generator, weeks: int, first: int = MONDAY) -> Hourly:
        """Draw the orders of some weeks; the days of the year in `holidays` have a twentieth of the usual."""
        hours = first + np.arange(weeks * WEEK)
        days = hours // 24
        shape = 0.05 + np.exp(-0.5 * ((hours % 24 - 13) / 4) ** 2)
        mean = self.base * shape * np.where((days + 3) % 7 >= 5, self.weekend, 1)
        mean *= np.exp(self.trend * (hours - first) / WEEK) * (1 + self.season * np.sin(2 * np.pi * days / 365.25))
        effects = np.zeros(weeks * 7)
        for day in range(1, len(effects)):
            effects[day] = 0.6 * effects[day - 1] + rng.normal(0, 0.8 * self.day_spread)
        mean *= np.exp(effects[days - days[0]])
        mean *= rng.gamma(1 / self.hour_spread**2, self.hour_spread**2, len(hours))
        mean[np.isin(days % 365, self.holidays)] *= 0.05
        return Hourly(first, rng.poisson(mean).astype(np.float64))


def changed(orders: Hourly, hours: npt.NDArray[np.int64], factor: float, rng: np.random.Generator) -> Hourly:
    """Return the orders with each of some hours' rows kept by chance."""
    rows = orders.rows.copy()
    rows[hours] = rng.binomial(rows[hours].astype(int), factor)
    return Hourly(orders.first, rows)


def last_week(orders: Hourly) -> VolumeCheck:
    return check_volume(orders, orders.end - WEEK, orders.end)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shop", "weeks"),
    [(Shop(), 14), (Shop(base=5), 14), (Shop(), 5), (Shop(holidays=(0, 100, 140, 230, 358, 359)), 58)],
    ids=["usual", "few rows", "little history", "holidays"],
)
def test_quiet_weeks_are_no_incident(shop: Shop, weeks: int) -> None:
    rng = np.random.default_rng(7)
    alarms = sum(bool(last_week(shop.orders(rng, weeks, MONDAY + 24 * (draw % 7))).unusual) for draw in range(25))
    assert alarms == 0  # at most 1 in 200 is promised; a simulation of 800 weeks has found none


@pytest.mark.slow
@pytest.mark.parametrize(("weeks", "share"), [(14, 0.9), (5, 0.9)])
def test_half_a_monday_is_found(weeks: int, share: float) -> None:
    rng = np.random.default_rng(11)
    found = 0
    for _ in range(10):
        orders = Shop().orders(rng, weeks)
        afternoon = len(orders.rows) - WEEK + np.arange(12, 24)
        check = last_week(changed(orders, afternoon, 0, rng))
        found += bool(check.unusual) and check.unusual[0].few and f"{check.unusual[0].since:%A}" == "Monday"
    assert found >= share * 10


@pytest.mark.slow
def test_a_thinned_monday_is_found() -> None:
    rng = np.random.default_rng(13)
    shop = Shop(day_spread=0.05)
    found = 0
    for _ in range(10):
        orders = shop.orders(rng, 14)
        found += bool(last_week(changed(orders, len(orders.rows) - WEEK + np.arange(24), 0.5, rng)).unusual)
    assert found >= 9


def test_the_reason_has_the_figures() -> None:
    rng = np.random.default_rng(3)
    orders = Shop().orders(rng, 15)
    first = len(orders.rows) - WEEK
    check = last_week(changed(orders, first + np.arange(10, 16), 0.1, rng))
    summary = check.unusual[0].summary
    assert "rows on Monday 2024-08-26 10:00-16:00 UTC; between " in summary
    assert summary.endswith("were expected from 14 Mondays")
    little = Shop().orders(rng, 5)
    check = last_week(changed(little, len(little.rows) - WEEK + np.arange(10, 16), 0, rng))
    assert check.unusual[0].summary.endswith("from 4 Mondays, so few that the bounds are wide")


def test_a_quiet_holiday_of_last_year_is_known() -> None:
    rng = np.random.default_rng(5)
    first = MONDAY - 20 * 24  # the 60 weeks end in the week of the holiday
    weeks = 60
    today = (first + weeks * WEEK) // 24 - 3
    with_last_year = Shop(holidays=(today % 365,)).orders(rng, weeks, first)
    check = last_week(with_last_year)
    assert not check.unusual
    assert len(check.excused_days) == 1
    without = Hourly(with_last_year.first + 20 * WEEK, with_last_year.rows[20 * WEEK :])
    assert last_week(without).unusual


def test_a_day_without_rows_is_known_if_two_days_were_like_it() -> None:
    rng = np.random.default_rng(17)
    orders = Shop().orders(rng, 20)
    quiet = [len(orders.rows) - days * 24 for days in (100, 60)]
    tuesday = len(orders.rows) - WEEK + 24
    for known, expected in ((quiet[:1], True), (quiet, False)):
        series = orders
        for start in [*known, tuesday]:
            series = changed(series, start + np.arange(24), 0, rng)
        assert bool(last_week(series).unusual) == expected
    half = orders
    for start in quiet:
        half = changed(half, start + np.arange(24), 0, rng)
    assert last_week(changed(half, tuesday + np.arange(12, 24), 0, rng)).unusual, "an afternoon is no quiet day"


def test_twice_the_rows_are_too_many() -> None:
    rng = np.random.default_rng(19)
    orders = Shop().orders(rng, 14)
    rows = orders.rows.copy()
    rows[-WEEK : -WEEK + 24] *= 2
    check = last_week(Hourly(orders.first, rows))
    assert check.unusual
    assert not check.unusual[0].few


def test_summer_time_is_no_incident() -> None:
    rng = np.random.default_rng(23)
    orders = Shop(hour_spread=0.03, day_spread=0.02, base=3_000).orders(rng, 15)
    before, moved = orders.rows[: 13 * WEEK], orders.rows[13 * WEEK + 1 : 14 * WEEK + 1]
    assert not last_week(Hourly(orders.first, np.concatenate([before, moved]))).unusual


def test_rows_that_come_an_hour_late_are_not_missing() -> None:
    rng = np.random.default_rng(29)
    rows = np.zeros(14 * WEEK)
    rows[2::24] = rng.poisson(5_000, 14 * 7)  # a nightly job
    late = rows.copy()
    late[-WEEK + 26], late[-WEEK + 27] = 0, rows[-WEEK + 26]
    assert not last_week(Hourly(MONDAY, late)).unusual
    late[-WEEK + 27] = 0
    assert last_week(Hourly(MONDAY, late)).unusual


def test_a_short_history_is_not_judged() -> None:
    orders = Shop().orders(np.random.default_rng(0), 3)
    check = last_week(orders)
    assert not check.learnt
    assert not check.unusual
    assert check.weeks == 0


def test_the_silence_of_a_long_span_does_not_become_its_own_habit() -> None:
    orders = Shop().orders(np.random.default_rng(0), 8)
    silent = Hourly(orders.first, np.where(np.arange(orders.rows.size) < 2 * WEEK, orders.rows, 0.0))
    assert not check_volume(silent, orders.first + 2 * WEEK, orders.end).learnt


def _rows(rng: np.random.Generator, weeks: int) -> pd.DataFrame:
    """Rows whose temperature follows the hour, and whose coupon is missing at night."""
    times = pd.date_range("2024-05-20", periods=weeks * WEEK * 20, freq="3min", tz="UTC")
    warm = 15 + 8 * np.sin((times.hour - 9) * np.pi / 12) + rng.normal(0, 2, len(times))
    coupon = np.where((times.hour < 6) | (rng.random(len(times)) < 0.05), None, "ten")
    return pd.DataFrame({"at": times, "temperature": warm, "coupon": coupon})


@pytest.fixture(scope="module")
def usual_rows() -> pd.DataFrame:
    return _rows(np.random.default_rng(31), 12)


def _columns(rows: pd.DataFrame) -> list[str]:
    tally = HourlyTally().add([rows], "at", ["temperature", "coupon"])
    end = MONDAY + 12 * WEEK
    volume = tally.volume(end)
    assert volume is not None
    return [
        values.summary for values in check_column_rhythm(tally, end - WEEK, end, check_volume(volume, end - WEEK, end))
    ]


def test_columns_follow_the_hours(usual_rows: pd.DataFrame) -> None:
    assert _columns(usual_rows) == []
    changed_rows = usual_rows.copy()
    night = slice(len(usual_rows) - WEEK * 20, len(usual_rows) - WEEK * 20 + 6 * 20)
    changed_rows.loc[changed_rows.index[night], "temperature"] += 12  # within the range of the days
    morning = slice(night.stop, night.stop + 6 * 20)
    changed_rows.loc[changed_rows.index[morning], "coupon"] = None
    temperature, coupon = _columns(changed_rows)
    assert temperature.startswith("temperature: the mean is ")
    assert "on Monday 2024-08-05 00:00-06:00 UTC; between " in temperature
    assert coupon.startswith("coupon: 100% of the values are missing on Monday 2024-08-05 06:00-12:00 UTC; at most ")


@pytest.mark.parametrize(("moved", "told"), [(0.01, False), (0.9, True)])
def test_a_column_that_never_varies_within_a_weekday_has_room(
    usual_rows: pd.DataFrame, moved: float, told: bool
) -> None:
    weekday = usual_rows["at"].dt.weekday.to_numpy(dtype=np.float64)
    last_day = np.arange(len(weekday)) >= len(weekday) - 24 * 20
    sentences = _columns(usual_rows.assign(temperature=weekday + moved * last_day))
    assert [sentence.split(" is ")[0] for sentence in sentences] == (["temperature: the mean"] if told else [])


@pytest.mark.parametrize(("level", "told"), [(5.01, False), (5.5, True)])
def test_a_column_that_was_always_equal_has_room(usual_rows: pd.DataFrame, level: float, told: bool) -> None:
    last_day = np.arange(len(usual_rows)) >= len(usual_rows) - 24 * 20
    sentences = _columns(usual_rows.assign(temperature=np.where(last_day, level, 5.0)))
    assert [sentence.split(" is ")[0] for sentence in sentences] == (["temperature: the mean"] if told else [])


@pytest.mark.parametrize(
    ("kind", "value", "low", "high", "words"),
    [
        ("mean", 4.00012, 3.9, 4.0000011, "the mean is 4.00012 on Saturday 2024-08-10; between 3.9 and 4 was expected"),
        ("mean", 3.99991, 3.99996, 4.2, "the mean is 3.99991 on Saturday 2024-08-10; between 3.99996 and 4.2 was"),
        ("missing", 0.304, 0.0, 0.301, "30.4% of the values are missing on Saturday 2024-08-10; at most 30.1% were"),
    ],
)
def test_a_value_beyond_its_bounds_never_reads_as_if_it_were_within(
    kind: Any, value: float, low: float, high: float, words: str
) -> None:
    since = datetime(2024, 8, 10, tzinfo=UTC)
    until = since + timedelta(days=1)
    found = UnusualValues(column="x", kind=kind, since=since, until=until, value=value, low=low, high=high, weeks=9)
    assert words in found.summary


def test_columns_of_usual_weeks_are_no_incident() -> None:
    for seed in range(5):
        assert _columns(_rows(np.random.default_rng(100 + seed), 12)) == []


def test_the_example_reports_the_hours_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = Shop(base=20).orders(np.random.default_rng(41), 10)
    rows = orders.rows.copy()
    rows[-WEEK + 10 : -WEEK + 20] = 0
    hours = pd.to_datetime(np.repeat(np.arange(len(rows)), rows.astype(int)) + orders.first, unit="h")
    pd.DataFrame({"at": hours.append(hours[-1:] + pd.Timedelta("1h"))}).to_csv(tmp_path / "orders.csv", index=False)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "examples"))
    sentences = load_extension("unusual_hours:unusual_hours")(str(tmp_path / "orders.csv"), "at")
    assert len(sentences) == 1
    assert sentences[0].startswith("0 rows on Monday 2024-07-22 1")
