"""A figure of the users' own is read from where it is kept."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from everfit.blocks.errors import DataError, NotEnoughError, SourceError
from everfit.blocks.retraining import UserMetricPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.user_metrics import user_metric_signal

WINDOW = Window(since=datetime(2024, 3, 1, tzinfo=UTC), until=datetime(2024, 3, 8, tzinfo=UTC))


def policy(folder: Path, text: str) -> UserMetricPolicy:
    path = folder / "users.csv"
    path.write_text(text)
    source = {"kind": "files", "path": str(path)}
    return UserMetricPolicy.model_validate({"metric": "accepted", "at_least": 0.5, "source": source, "time": "at"})


def test_the_mean_over_the_window_counts(tmp_path: Path) -> None:
    rows = "at,accepted\n2024-02-29,0\n2024-03-01,0.25\n2024-03-07,0.75\n2024-03-07,\n2024-03-08,1\n"
    result = user_metric_signal(policy(tmp_path, rows), WINDOW)
    assert (result.status, result.value, result.reason) == ("measured", 0.5, "mean of 2 rows")


def test_no_row_in_the_window_is_not_enough(tmp_path: Path) -> None:
    assert user_metric_signal(policy(tmp_path, "at,accepted\n2024-02-01,1\n"), WINDOW).status == "not_enough"


def test_what_is_no_number_or_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'often' is no number") as error:
        user_metric_signal(policy(tmp_path, "at,accepted\n2024-03-02,often\n"), WINDOW)
    assert not isinstance(error.value, NotEnoughError)
    with pytest.raises(SourceError, match="no column 'accepted'"):
        user_metric_signal(policy(tmp_path, "at,liked\n2024-03-02,1\n"), WINDOW)
