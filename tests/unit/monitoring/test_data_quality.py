"""Broken data is told from changed data, and one fault from another."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.data_quality import DataQuality, Feed, data_quality
from everfit.tasks.statistics.histograms import histograms
from everfit.tasks.statistics.profile import profile_frame

FEATURES = ["temperature", "wind", "pressure", "carrier", "month", "rain", "price"]
UNTIL = datetime(2026, 7, 1, tzinfo=UTC)


def _frame(rows: int = 3_000, seed: int = 0) -> pd.DataFrame:
    """Half a year, in order: months follow each other, and it rains only in the second half."""
    rng = np.random.default_rng(seed)
    position = np.arange(rows) / rows
    return pd.DataFrame(
        {
            "temperature": rng.normal(10, 5, rows) + 10 * position,
            "wind": rng.gamma(2, 4, rows).round(1),
            "pressure": rng.normal(1013, 8, rows),
            "carrier": rng.choice(["AA", "UA", "DL", "WN"], p=[0.4, 0.3, 0.2, 0.1], size=rows),
            "month": 1 + (position * 6).astype(int),
            "rain": np.where((position > 0.5) & (rng.random(rows) < 0.5), rng.exponential(1, rows), 0.0),
            "price": np.exp(rng.normal(3, 1, rows)),
        }
    )


REFERENCE = profile_frame(_frame(), FEATURES)


def _quality(change: Callable[[pd.DataFrame], pd.DataFrame], rows: int = 600) -> DataQuality:
    # A window from a single dry month, as a short one is.
    current = change(_frame(rows, seed=1).assign(month=2, rain=0.0))
    return data_quality(REFERENCE, histograms(current, REFERENCE), MonitoringPolicy())


def test_a_month_and_a_dry_spell_are_no_broken_sensors() -> None:
    assert _quality(lambda frame: frame) == DataQuality(status="good", rows=600)


@pytest.mark.parametrize(
    ("change", "kind", "subject", "status"),
    [
        (lambda f: f.assign(wind=7.0), "broken_sensor", "wind", "bad"),
        (lambda f: f.assign(pressure=0.0), "broken_sensor", "pressure", "bad"),
        (lambda f: f.assign(carrier="AA"), "broken_sensor", "carrier", "bad"),
        (
            lambda f: f.assign(temperature=9.5, wind=7.0, pressure=1.0),
            "frozen_feed",
            "temperature, wind, pressure",
            "bad",
        ),
        (lambda f: f.iloc[np.arange(600) % 20], "frozen_feed", "rows", "bad"),
        (lambda f: f.iloc[np.arange(600) % 350], "repeated_rows", "rows", "suspect"),
        (lambda f: f.assign(pressure=f["pressure"] * 100), "implausible", "pressure", "bad"),
        (lambda f: f.assign(wind=f["wind"].where(f.index % 20 > 0, -999)), "implausible", "wind", "bad"),
        (lambda f: f.assign(temperature=f["temperature"] + 20), "out_of_range", "temperature", "suspect"),
        (lambda f: f.assign(wind=f["wind"].where(f.index % 2 > 0)), "missing", "wind", "bad"),
        (lambda f: f.assign(wind=np.nan), "missing", "wind", "bad"),
        (lambda f: f.assign(wind="calm"), "not_numeric", "wind", "bad"),
        (lambda f: f.drop(columns="wind"), "absent_column", "wind", "bad"),
        (lambda f: f.assign(carrier=f["carrier"].replace("UA", "United")), "renamed_category", "carrier", "bad"),
        (lambda f: f.assign(carrier=f["carrier"].str.lower()), "renamed_category", "carrier", "bad"),
        (lambda f: f.assign(carrier=f["carrier"].replace("UA", "ua ")), "renamed_category", "carrier", "bad"),
        (
            lambda f: f.assign(carrier=f["carrier"].where(f.index % 5 > 0, "B6")),
            "unseen_category",
            "carrier",
            "suspect",
        ),
    ],
)
def test_each_fault_is_told_by_its_kind(
    change: Callable[[pd.DataFrame], pd.DataFrame], kind: str, subject: str, status: str
) -> None:
    quality = _quality(change)
    assert [(finding.kind, finding.subject) for finding in quality.findings if finding.kind != "out_of_range"] == (
        [] if kind == "out_of_range" else [(kind, subject)]
    )
    assert kind in {finding.kind for finding in quality.findings}
    assert quality.status == status
    assert all(finding.summary for finding in quality.findings)


def test_a_month_that_is_over_has_not_been_renamed() -> None:
    """Given months by name, then one went before the next came; a name that was in use until the end has changed."""
    days = _frame().assign(month=["March"] * 1_700 + ["April"] * 1_300)
    reference = profile_frame(days, FEATURES)
    window = _frame(600, seed=1).assign(month=["April", "May"] * 300, rain=0.0)
    for name, change, expected in (
        ("month", window, "unseen_category"),
        ("carrier", window.assign(carrier=window["carrier"].replace("UA", "United")), "renamed_category"),
    ):
        found = data_quality(reference, histograms(change, reference), MonitoringPolicy()).findings
        assert [finding.kind for finding in found if finding.subject == name] == [expected]


@pytest.mark.parametrize("column", ["temperature", "wind", "pressure", "price"])
def test_ordinary_drift_is_never_bad_data(column: str) -> None:
    for change in (1.5, -0.5):
        quality = _quality(lambda f, change=change: f.assign(**{column: f[column] + change * f[column].std()}))
        assert quality.status in {"good", "suspect"}


@pytest.mark.parametrize(
    ("before", "now", "severity"),
    [(0.0, 0.3, "bad"), (0.1, 0.35, "suspect"), (0.1, 0.97, "bad"), (0.6, 0.97, "suspect")],
)
def test_more_missing_values_of_a_column_that_often_has_none_are_no_fault(
    before: float, now: float, severity: str
) -> None:
    random = np.random.default_rng(3)

    def emptied(frame: pd.DataFrame, share: float) -> pd.DataFrame:
        return frame.assign(price=frame["price"].where(random.random(len(frame)) >= share))

    reference = profile_frame(emptied(_frame(), before), FEATURES)
    window = emptied(_frame(600, seed=1).assign(month=2, rain=0.0), now)
    found = data_quality(reference, histograms(window, reference), MonitoringPolicy()).findings
    assert [(finding.kind, finding.severity) for finding in found] == [("missing", severity)]


def test_too_few_rows_are_not_good() -> None:
    assert _quality(lambda frame: frame.iloc[:10]).status == "unknown"
    assert _quality(lambda frame: frame.iloc[:0]).status == "unknown"


def _feeds(*feeds: Feed) -> DataQuality:
    counts = histograms(_frame(600, seed=1), REFERENCE)
    window = Window(since=UNTIL - timedelta(days=7), until=UNTIL)
    return data_quality(REFERENCE, counts, MonitoringPolicy(), window=window, feeds=feeds)


def test_feeds_that_stop_or_dwindle_are_named() -> None:
    quality = _feeds(
        Feed(name="predictions", rows=600, expected_rows=650, newest=UNTIL - timedelta(hours=1)),
        Feed(name="labels", rows=0, newest=UNTIL - timedelta(days=20), max_age=timedelta(days=14)),
        Feed(name="weather", rows=10, expected_rows=168, newest=UNTIL),
        Feed(name="strikes", rows=0, expected_rows=0.4, newest=UNTIL),
        Feed(name="planes", rows=0, newest=None),
    )
    assert [(finding.kind, finding.subject) for finding in quality.findings] == [
        ("stale_feed", "labels"),
        ("volume", "weather"),
        ("stale_feed", "planes"),
    ]
    assert quality.status == "suspect"
    assert "older than 14d" in quality.findings[0].summary


def test_findings_are_read_as_they_were_written() -> None:
    quality = _feeds(Feed(name="planes", rows=0, newest=None))
    assert DataQuality.model_validate_json(quality.model_dump_json()).findings[0].summary == quality.findings[0].summary


def test_a_column_that_was_empty_and_now_has_values_is_suspect_and_breaks_nothing() -> None:
    reference = profile_frame(pd.DataFrame({"x": np.arange(500.0), "late": np.full(500, np.nan)}), ["x", "late"])
    now = pd.DataFrame({"x": np.arange(500.0), "late": np.arange(500.0)})
    result = data_quality(reference, histograms(now, reference), MonitoringPolicy())
    assert [(finding.kind, finding.severity, finding.subject) for finding in result.findings] == [
        ("out_of_range", "suspect", "late")
    ]
    assert "no value" in result.findings[0].summary


def test_categories_where_there_were_none_are_suspect_too() -> None:
    reference = profile_frame(
        pd.DataFrame({"x": np.arange(500.0), "late": pd.Series([None] * 500, dtype="str")}), ["x", "late"]
    )
    now = pd.DataFrame({"x": np.arange(500.0), "late": np.tile(["a", "b"], 250)})
    result = data_quality(reference, histograms(now, reference), MonitoringPolicy())
    assert [(finding.kind, finding.severity) for finding in result.findings] == [("unseen_category", "suspect")]
