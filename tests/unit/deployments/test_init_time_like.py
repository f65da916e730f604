"""What `everfit init` makes of columns that depend on times, and are none."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.init_tables import made

ROWS = 300


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def stays() -> pd.DataFrame:
    """Stays in a hospital: the day of discharge is known later, that of the planned visit before."""
    random = np.random.default_rng(3)
    admitted = pd.date_range("2024-01-01", periods=ROWS, freq="7h")
    days, ahead = random.integers(1, 60, ROWS), random.integers(1, 90, ROWS)
    visit = (admitted.normalize() + pd.to_timedelta(ahead, unit="D")).strftime("%Y-%m-%d")
    return pd.DataFrame(
        {
            "admitted_at": admitted,
            "discharged_at": admitted + pd.to_timedelta(days, unit="D"),
            "visit_on": visit,
            "nights": days + 1,
            "lead": ahead,
            "age": random.integers(18, 90, ROWS),
            "symptoms_since": [f"{day} - {day}" if number % 5 == 0 else day for number, day in enumerate(visit)],
            "back": np.where(random.random(ROWS) < 0.3, "yes", "no"),
        }
    )


def test_a_span_that_ends_with_the_label_is_left_out_and_another_one_is_marked() -> None:
    found = made(stays(), "back", event_time="admitted_at", label_time="discharged_at")

    assert "when the label becomes known" in found["ignored"]["nights"]
    assert found["doubtful"]["lead"] == (
        "the time from admitted_at to visit_on: ignore it unless visit_on is known before the event"
    )
    assert "age" in found["features"]
    assert "age" not in found["doubtful"]


def test_texts_that_are_mostly_dates_are_no_categories() -> None:
    found = made(stays(), "back", event_time="admitted_at")

    assert found["ignored"]["symptoms_since"].startswith("mostly dates, and other texts such as '2024-")


def test_a_span_that_hardly_varies_marks_no_column() -> None:
    frame = stays()
    frame["visit_on"] = (frame["admitted_at"].dt.normalize() + pd.Timedelta("2D")).dt.strftime("%Y-%m-%d")
    frame["lead"] = np.random.default_rng(4).integers(1, 4, ROWS)

    assert "lead" not in made(frame, "back", event_time="admitted_at")["doubtful"]
