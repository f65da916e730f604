"""Outliers: rows unlike the training data stand out, usual ones don't, and one at a time gives what many give."""

import math
import time

import numpy as np
import pandas as pd
import pytest

from everfit.tasks.scoring.outliers import OutlierDetector, detector_columns
from everfit.tasks.statistics.profile import profile_frame


def rows(count: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    wind = random.gamma(2, 5, count)
    wind[random.random(count) < 0.02] = np.nan
    return pd.DataFrame(
        {
            "wind": wind,
            "distance": random.normal(900, 200, count),
            "seats": random.choice([50, 120, 180], count),
            "carrier": pd.array(random.choice(["AA", "B6", "UA", "ZZ"], count, p=[0.4, 0.35, 0.24, 0.01]), dtype="str"),
            "freight": random.random(count) < 0.1,
            "at": pd.date_range("2024-01-01", periods=count, freq="1min", tz="UTC"),
            **{f"other_{number}": random.normal(size=count) for number in range(10)},
        }
    )


@pytest.fixture(scope="module")
def detector() -> OutlierDetector:
    trained = rows(20_000, 0)
    return OutlierDetector.fit(profile_frame(trained, list(trained.columns)), rows(5_000, 1))


def score(detector: OutlierDetector, frame: pd.DataFrame) -> np.ndarray:
    return np.array(detector.score(detector_columns(frame, detector), len(frame)))


def test_the_score_is_the_share_of_usual_rows_that_are_less_unlike(detector: OutlierDetector) -> None:
    usual = score(detector, rows(5_000, 2))
    for share in (0.1, 0.5, 0.9, 0.99):
        assert abs((usual > share).mean() - (1 - share)) < 0.03
    assert 0 <= usual.min() < usual.max() <= 1


@pytest.mark.parametrize(
    ("column", "value"), [("wind", 1e6), ("wind", -1.0), ("distance", 1e9), ("carrier", "XX"), ("other_3", -40.0)]
)
def test_one_wild_value_among_many_features_stands_out(detector: OutlierDetector, column: str, value: object) -> None:
    assert np.median(score(detector, rows(200, 3).assign(**{column: value}))) > 0.995


def test_a_usual_value_does_not(detector: OutlierDetector) -> None:
    for column, value in {"seats": 120, "carrier": "AA", "freight": False, "distance": 900.0}.items():
        assert np.median(score(detector, rows(200, 3).assign(**{column: value}))) < 0.6


def test_a_row_by_itself_gets_what_it_gets_among_others(detector: OutlierDetector) -> None:
    frame = rows(100, 4)
    alone = np.concatenate([score(detector, frame.iloc[[row]]) for row in range(100)])
    assert np.abs(alone - score(detector, frame)).max() <= 0.01


def test_what_is_written_reads_the_same(detector: OutlierDetector) -> None:
    again = OutlierDetector.model_validate_json(detector.canonical_json())
    assert again == detector
    frame = rows(50, 5)
    assert (score(again, frame) == score(detector, frame)).all()


def test_a_single_row_costs_microseconds(detector: OutlierDetector) -> None:
    columns = detector_columns(rows(1, 6), detector)
    times = []
    for _ in range(200):
        began = time.perf_counter()
        detector.score(columns, 1)
        times.append(time.perf_counter() - began)
    assert min(times) < 200e-6


def test_columns_without_a_value_or_of_no_use_are_passed_over() -> None:
    frame = pd.DataFrame({"empty": [np.nan] * 50, "same": [1.0] * 50, "x": np.arange(50.0)})
    result = OutlierDetector.fit(profile_frame(frame, list(frame.columns)), frame)
    assert result.score({"same": [1.0], "x": [25.0], "empty": [None]}, 1)[0] < 0.9
    assert result.score({"same": [2.0], "x": [25.0], "empty": [None]}, 1)[0] > 0.9


def test_many_rows_have_the_scores_that_each_has_alone(detector: OutlierDetector) -> None:
    columns = detector_columns(rows(200, 5), detector)
    columns["wind"][:3] = [None, math.inf, -math.inf]
    alone = [detector.score({name: [values[row]] for name, values in columns.items()}, 1) for row in range(200)]
    assert detector.score(columns, 200) == [score for one in alone for score in one]
