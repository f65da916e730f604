"""The columns of numbers that a page keeps of its looks: small after years, and right in any order."""

from datetime import timedelta

import orjson
import pytest
from support.pages import SPRING

from everfit.tasks.pages.limit_charts import limits_section
from everfit.tasks.pages.limit_series import LimitSeries
from everfit.tasks.pages.looks import LimitedLook, LookSummary
from everfit.tasks.pages.series import Series


@pytest.mark.slow
def test_two_years_of_hourly_looks_fit_into_two_megabytes() -> None:
    series = Series()
    for hour in range(17_520):
        numbers = {"value": 0.7 + hour % 97 / 991, "error": 0.012 + hour % 13 / 9973, "coverage": hour % 89 / 89}
        measured_all = hour % 24 == 23  # columns and slices have one place a day
        limited = {"label": "quality", "value": hour / 7e4, "low": hour / 7e4, "high": 1, "bound": 1}
        series.add(
            LookSummary(
                id="1",
                until=SPRING + timedelta(hours=hour),
                at=SPRING,
                verdict="healthy",
                champion=1,
                expected=0.75,
                bound=0.725,
                drifted=(),
                columns={f"column {place}": hour % 83 / 70 for place in range(30)} if measured_all else {},
                figures={"p99_ms": hour % 59 / 7, "error_rate": hour % 53 / 5300},
                limited=tuple(LimitedLook(name=f"slice.{place}", **limited) for place in range(20 * measured_all)),
                **numbers,
            )
        )

    assert len(orjson.dumps(series.dump())) < 1_500_000


def test_figures_with_bounds_are_kept_by_day_in_any_order() -> None:
    def look(value: float) -> LimitedLook:
        return LimitedLook(name="calibration.error", label="error", value=value, low=0, high=1)

    series = LimitSeries()
    for day, value in ((5, 0.1), (7, 0.3), (6, 0.2), (7, 0.4)):
        series.add(day, (look(value),))
    series.add(8, (look(0.2).model_copy(update={"name": "slice.a", "bound": 0.1, "beyond": True}),))

    assert series.days == [5, 6, 7, 8]
    assert series.figures["calibration.error"]["value"] == [0.1, 0.2, 0.4, None]
    assert series.newest("calibration.error")["day"] == 7
    assert LimitSeries.load(series.dump()).dump() == series.dump()
    with pytest.raises(ValueError, match="different lengths"):
        LimitSeries.load(series.dump() | {"days": [1]})


def test_the_page_says_how_many_figures_it_has_no_place_for() -> None:
    def looks(count: int) -> tuple[LimitedLook, ...]:
        return tuple(LimitedLook(name=f"slice.{n}", label=f"{n}", value=0.5, low=0, high=1) for n in range(count))

    series = Series()
    series.limits.add(5, looks(51))
    assert "The last look measured 3 more, for which the page has no place" in limits_section(series)
    series.limits.add(4, looks(60))  # an earlier look that comes later
    assert LimitSeries.load(series.limits.dump()).left_out == 3
    series.limits.add(6, looks(2))
    assert "for which the page has no place" not in limits_section(series)
