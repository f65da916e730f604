"""Which looks get a drift report, and that a packed report is the same page in less than half of the size."""

from datetime import UTC, datetime, timedelta

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.report.packed_page import pack_page, unpack_page
from everfit.tasks.monitoring.report.report_choice import draws_report

NOON, HOUR = datetime(2026, 3, 2, 12, tzinfo=UTC), timedelta(hours=1)
DAILY = MonitoringPolicy()


def test_a_quiet_day_of_hourly_looks_gets_one_report() -> None:
    looks = [NOON + n * HOUR for n in range(-12, 12)]
    assert [draws_report(DAILY, until, until - HOUR) for until in looks] == [True] + 23 * [False]
    assert draws_report(DAILY, NOON, None)


def test_drift_that_the_look_before_did_not_have_gets_a_report_at_once() -> None:
    assert draws_report(DAILY, NOON, NOON - HOUR, drifted=["a", "b"], last_drifted=["a"])
    assert not draws_report(DAILY, NOON, NOON - HOUR, drifted=["a"], last_drifted=["a", "b"])


def test_a_person_may_want_all_or_none() -> None:
    assert draws_report(MonitoringPolicy(report="always"), NOON, NOON - HOUR)
    assert not draws_report(MonitoringPolicy(report="never"), NOON, None, drifted=["a"])


def test_a_packed_page_unpacks_to_itself() -> None:
    page = "<html><body>" + 5_000 * "all the scripts </script>" + "é</body></html>"
    packed = pack_page(page)
    assert unpack_page(packed) == page == unpack_page(page)
    assert len(packed) < len(page) / 3
    assert pack_page(page) == packed
