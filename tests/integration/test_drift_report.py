"""The report is the real Evidently's, bounded in size, and its failures are ours to tell."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.drifting import drift_between

from everfit.blocks.errors import EverfitError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.report.drift_report import LARGEST, DriftReportError, drift_html
from everfit.tasks.monitoring.report.text_descriptors import described, import_evidently

POLICY = MonitoringPolicy(report_rows=500)


def _frame(rows: int, seed: int, numbers: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, numbers)), columns=[f"x{index}" for index in range(numbers)])
    return frame.assign(letter=rng.choice(["a", "b", None], rows), flag=rng.random(rows) < 0.5)


def test_the_report_shows_the_verdict_over_all_rows_and_names_what_it_leaves_out(tmp_path: Path) -> None:
    reference, current = (
        _frame(3_000, seed, numbers=4).assign(
            when=pd.Timestamp("2026-01-01"), empty=np.nan, constant=1.0, gone=1.0 if seed == 0 else np.nan
        )
        for seed in (0, 1)
    )
    current = current.assign(x0=current["x0"] + 3, x1=np.where(current["x1"] > 1, np.inf, current["x1"]))
    result = drift_between(reference, current, list(reference), POLICY)

    report = drift_html(reference, current, POLICY, tmp_path / "drift.html", result=result)

    text = (tmp_path / report.file).read_text(encoding="utf-8")
    assert set(report.columns) == {"x0", "x1", "x2", "x3", "letter", "flag"}
    assert report.columns[0] == "x0"
    assert report.left_out == {
        "when": f"{reference['when'].dtype} is neither numeric nor categorical",
        "empty": "empty in the reference and the window",
        "constant": "constant: 1 in every row of both",
        "gone": "empty in the window",
    }
    assert "Decided over all 3,000 rows" in text
    assert "constant isn&#x27;t drawn: constant: 1 in every row of both." in text
    assert (report.reference_rows, report.current_rows) == (500, 500)
    assert report.size == (tmp_path / "drift.html").stat().st_size < LARGEST
    assert [path.name for path in tmp_path.iterdir()] == ["drift.html"]


def test_free_text_is_drawn_by_numbers_that_need_no_download(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    reference, current = (
        pd.DataFrame({"x": random.normal(size=300), "message": ["Is it broken? " * size] * 298 + ["", None]})
        for size in (2, 5)
    )
    report = drift_html(reference, current, POLICY, tmp_path / "drift.html", texts=["message"])
    numbers = described(current, ["message"])

    assert set(report.columns) == {"x", *numbers.columns[1:3], "message: sentences"}
    assert report.left_out.keys() == {"message: percent not letters"}, "a constant"
    assert numbers.iloc[0, 1:].tolist() == [70, 15, 6, pytest.approx(100 / 14)]
    assert numbers.iloc[298:, 1:].isna().all(axis=None)
    assert "message: words" in (tmp_path / "drift.html").read_text(encoding="utf-8")


def test_the_report_stays_small_whatever_the_rows_columns_and_categories(tmp_path: Path) -> None:
    policy = MonitoringPolicy()
    reference, current = (_frame(30_000, seed, numbers=60).assign(id=np.arange(30_000).astype(str)) for seed in (0, 1))
    report = drift_html(reference, current, policy, tmp_path / "drift.html")
    assert report.size < LARGEST
    assert len(report.columns) + len(report.left_out) == reference.shape[1]
    assert "there is no room for it" in report.left_out.values()


def test_a_total_variation_policy_does_not_start_a_permutation_test(tmp_path: Path) -> None:
    policy = MonitoringPolicy(numeric_method="tvd", categorical_method="tvd", report_rows=500)
    drift_html(_frame(600, 0), _frame(600, 1), policy, tmp_path / "drift.html")
    assert "Jensen-Shannon" in (tmp_path / "drift.html").read_text(encoding="utf-8")


def test_nothing_to_draw_is_an_error_and_no_file(tmp_path: Path) -> None:
    empty = pd.DataFrame({"x": [np.nan] * 10})
    with pytest.raises(DriftReportError, match="x: empty in the reference"):
        drift_html(empty, empty, POLICY, tmp_path / "drift.html")
    with pytest.raises(DriftReportError, match="'wind' must be on both sides"):
        drift_html(empty, empty, POLICY, tmp_path / "drift.html", columns=["wind"])
    assert not list(tmp_path.iterdir())


class _Raising:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, *_: object, **__: object) -> Any:
        raise self.error


def _evidently_error() -> BaseException:
    import_evidently()
    from evidently.core.report import ReferenceMetricNotFound

    return ReferenceMetricNotFound("x0")


def test_an_error_of_evidently_becomes_ours_even_when_it_is_no_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = _evidently_error()
    assert not isinstance(error, Exception)
    for raised in (error, ValueError("inside")):
        monkeypatch.setattr(import_evidently().Report, "run", _Raising(raised))
        with pytest.raises(EverfitError, match="Evidently can't draw the report") as caught:
            drift_html(_frame(600, 0), _frame(600, 1), POLICY, tmp_path / "drift.html")
        assert caught.value.__cause__ is raised
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_stays_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupt: type[BaseException]
) -> None:
    monkeypatch.setattr(import_evidently().Report, "run", _Raising(interrupt()))
    with pytest.raises(interrupt):
        drift_html(_frame(600, 0), _frame(600, 1), POLICY, tmp_path / "drift.html")


def test_a_category_and_the_name_of_a_column_are_no_script(tmp_path: Path) -> None:
    script = "</script><script>alert(1)</script>"
    rows = pd.DataFrame({"city": pd.Series([script, "Oslo"] * 50, dtype=object), script: range(100), "x[/": range(100)})
    rows = rows.assign(**{"x</": range(100)})
    drift_html(rows, rows, MonitoringPolicy(), tmp_path / "drift.html")

    text = (tmp_path / "drift.html").read_text()
    assert "alert(1)" in text
    assert script not in text
    assert "<script>alert(1)" not in text
    assert text.index("Content-Security-Policy") < text.index("<script")
