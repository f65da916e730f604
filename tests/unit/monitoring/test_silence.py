"""How long a model was not asked, and how long that used to be."""

from datetime import UTC, datetime, timedelta

from everfit.tasks.monitoring.signals.silence import Silence, silence

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_pause_that_came_again_is_usual_and_a_single_outage_is_not() -> None:
    weekdays = [MONDAY + timedelta(days=day, hours=hour) for day in range(26) if day % 7 < 5 for hour in range(8, 18)]
    weekend = 63 * HOUR  # from 17:00 to 8:00
    sunday = weekdays[-1] + timedelta(days=2)
    assert silence(weekdays, sunday) == Silence(asked=True, quiet=timedelta(days=2), usual=weekend)

    always = [MONDAY + n * HOUR for n in range(400) if not 100 <= n < 200]
    assert silence(always, always[-1] + 5 * HOUR) == Silence(asked=True, quiet=5 * HOUR, usual=HOUR)


def test_of_fewer_than_three_answers_no_pause_is_usual() -> None:
    assert silence([MONDAY, MONDAY + HOUR], MONDAY + 3 * HOUR) == Silence(asked=True, quiet=2 * HOUR)
    assert silence([], MONDAY) == Silence(asked=True)
