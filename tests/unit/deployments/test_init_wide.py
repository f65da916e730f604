"""`everfit init` of a table with many columns."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.init_tables import made

from everfit.deployments.cli.start import _listed
from everfit.deployments.init.look import look


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wide(rows: int = 300, columns: int = 150) -> pd.DataFrame:
    drawn = np.random.default_rng(0).normal(size=(rows, columns)).round(3)
    frame = pd.DataFrame(drawn, columns=[f"sensor_{number}" for number in range(columns)])
    at = pd.date_range("2026-01-01", periods=rows, freq="h", tz="UTC")
    return frame.assign(at=at, failed=(frame["sensor_0"] > 0).astype("int64"))


@pytest.mark.slow
def test_many_columns_are_proposed_without_a_warning_of_pandas():
    assert made(wide(), "failed")["event_time"] == "at"


def test_rows_are_distinct_by_all_columns(folder: Path):
    frame = wide(20, 30)
    alike = frame.iloc[[3]].assign(sensor_29=9.0)  # differs in the last of its columns alone
    pd.concat([frame, frame.iloc[:5], alike]).to_parquet(folder / "data.parquet")

    assert len(look("data.parquet", "failed").distinct) == 21
    frame.to_parquet(folder / "data.parquet")
    assert len(look("data.parquet", "failed").distinct) == 20


def test_of_many_features_the_first_ones_the_last_and_their_number_are_shown():
    names = [f"sensor_{number}" for number in range(990)]
    assert _listed(names[:3]) == "sensor_0, sensor_1, sensor_2"
    shown = _listed(names)
    assert shown.startswith("990 columns: sensor_0, sensor_1,")
    assert shown.endswith("sensor_38, ..., sensor_989")
