"""Old looks that found nothing are thinned to one a day; those that found something stay."""

from datetime import UTC, datetime, timedelta

from everfit.tasks.retention.look_upkeep import PastLook, plan_looks

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MONTH = timedelta(days=30)


def looks(days: int, verdict: str = "healthy") -> list[PastLook]:
    return [
        PastLook(run_id=f"{hours}", until=NOW - timedelta(hours=hours), verdict=verdict)
        for hours in range(1, days * 24 + 1)
    ]


def test_of_hourly_looks_a_month_stays_and_one_of_each_day_before() -> None:
    seventy_days = looks(70)
    plan = plan_looks(seventy_days, NOW, MONTH)
    assert len(plan.thin) == 40
    assert len(plan.delete) == 40 * 24 - 40
    assert {look.until.hour for look in seventy_days if look.run_id in set(plan.thin)} == {0}
    assert all(int(run_id) > 30 * 24 for run_id in (*plan.thin, *plan.delete))


def test_what_found_something_stays_and_an_upkeep_done_again_does_nothing() -> None:
    assert not plan_looks(looks(90, "watch"), NOW, MONTH).delete
    left = [look.model_copy(update={"thinned": True}) for look in looks(90) if look.until.hour == 0]
    again = plan_looks(left, NOW, MONTH)
    assert (again.delete, again.thin) == ((), ())
