"""The final fit learns from labels that are known early, each by how many like it are known at its age."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.training import UNTIL, a_spec, data_of, rows_of

from everfit.tasks.data.split import WEIGHT
from everfit.tasks.training.fitting import fit
from everfit.tasks.training.search import Setting

MATURITY = 10.0


def late_rows(seed: int = 0, turned_after: float | None = None) -> pd.DataFrame:
    """Rows of 60 days; positive labels come twice as fast, and perhaps `x` tells the opposite in the last days."""
    random = np.random.default_rng(seed)
    rows = rows_of(rows=6_000, seed=seed)
    age = ((pd.Timestamp(UNTIL) - rows["at"]) / pd.Timedelta(days=1)).to_numpy()
    if turned_after is not None:
        rows["x"] = np.where(age < turned_after, -rows["x"], rows["x"])
    delay = np.where(rows["y"] == 1, 2.0, 4.0) * random.uniform(0.2, 2.4, len(rows))
    known = rows["at"] + pd.to_timedelta(delay, unit="D")
    rows["known_at"] = known.where(known <= UNTIL).dt.as_unit("us")
    return rows


def spec_of(**training: Any) -> Any:
    return a_spec(maturity="10d", training={"holdout": "10d", **training})


@pytest.mark.slow
def test_fresh_rows_stand_for_those_whose_labels_have_not_come(tmp_path: Path) -> None:
    shares, plain, truth = [], [], []
    for seed in range(8):
        rows = late_rows(seed)
        labelled = rows.assign(y=rows["y"].where(rows["known_at"].notna()))
        data = data_of(spec_of(fresh_labels="weighted"), labelled, tmp_path / str(seed))
        assert data.final_window.until == UNTIL
        found = data.training_rows(data.final_window)
        fresh = found[found["at"] >= data.split.whole.until]
        assert (fresh[WEIGHT] >= 1).all()
        assert (fresh[WEIGHT] <= 1 / 0.3 + 1e-9).all()
        assert (found.loc[found["at"] < data.split.whole.until, WEIGHT] == 1).all()
        shares.append(np.average(fresh["y"].astype(float), weights=fresh[WEIGHT]))
        plain.append(fresh["y"].astype(float).mean())
        since = fresh["at"].max()
        truth.append(rows.loc[(rows["at"] >= data.split.whole.until) & (rows["at"] <= since), "y"].mean())
    assert abs(np.mean(shares) - np.mean(truth)) < 0.02
    assert np.mean(plain) - np.mean(truth) > 0.05  # early labels are too often positive


@pytest.mark.slow
def test_the_final_fit_learns_what_is_new_and_a_judged_one_does_not_see_it(tmp_path: Path) -> None:
    rows = late_rows(turned_after=8.0)
    labelled = rows.assign(y=rows["y"].where(rows["known_at"].notna()))
    with_fresh = data_of(spec_of(fresh_labels="weighted", half_life="2d"), labelled, tmp_path / "fresh")
    without = data_of(spec_of(half_life="2d"), labelled, tmp_path / "mature")

    assert without.final_window == without.split.whole == with_fresh.split.whole
    assert WEIGHT not in without.training_rows(without.final_window)
    new, old = (
        fit(data.spec, ["x"], "logistic_regression", Setting(), data.training_rows(data.final_window))
        for data in (with_fresh, without)
    )
    newest = rows[rows["at"] > UNTIL - pd.Timedelta(days=3)]
    assert (new.predict(newest[["x"]]) == newest["y"]).mean() > 0.7
    assert (old.predict(newest[["x"]]) == newest["y"]).mean() < 0.4


def test_too_few_mature_labels_say_nothing_about_fresh_ones(tmp_path: Path) -> None:
    rows = late_rows().head(5_999)
    rare = np.where(np.arange(len(rows)) % 400 == 0, 1.0, 0.0)
    labelled = rows.assign(y=pd.Series(rare).where(rows["known_at"].notna()))
    data = data_of(spec_of(fresh_labels="weighted"), labelled, tmp_path)
    assert data.final_window == data.split.whole


@pytest.mark.parametrize(
    ("columns", "parts"),
    [({"label_time": None}, {"maturity": "10d"}), ({}, {}), ({}, {"maturity": "10d", "training": {"refit": False}})],
)
def test_a_spec_that_cannot_have_fresh_labels_is_refused(columns: dict[str, Any], parts: dict[str, Any]) -> None:
    training = {"fresh_labels": "weighted", "holdout": "10d", **parts.pop("training", {})}
    with pytest.raises(ValueError, match=r"training\.fresh_labels"):
        a_spec(columns=columns, training=training, **parts)
