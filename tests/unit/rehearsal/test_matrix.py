"""The matrix: each model is fitted on what was known then, once, and measured in each later window."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from support.deliveries import SPEC, deliveries, write_month

from everfit.blocks.spec import ModelSpec
from everfit.tasks.predictions.labelled_predictions import label_texts
from everfit.tasks.rehearsal.matrix import Fit, fit_all, measure_all
from everfit.tasks.rehearsal.measuring import LABEL
from everfit.tasks.rehearsal.plan import SPEC as AS_IT_IS
from everfit.tasks.rehearsal.plan import RehearsalPlan, Rehearsed
from everfit.tasks.training.results import Choice

FIRST, STEP = datetime(2024, 1, 21, tzinfo=UTC), timedelta(days=10)
ENDS = tuple(FIRST + number * STEP for number in range(4))
PLAN = RehearsalPlan(model="deliveries", ends=ENDS, until=ENDS[-1], policies=(Rehearsed(name=AS_IT_IS),))
CHOICE = Choice(candidate="logistic_regression")


@pytest.fixture
def rows() -> pd.DataFrame:
    """20 days as ever, then a world that is turned round; a tenth of the labels come long after."""
    frame = pd.concat(
        [deliveries("2024-01-01", 20), deliveries("2024-01-21", 30, seed=1, strength=-3)], ignore_index=True
    )
    late = frame.index % 10 == 0
    frame.loc[late, "known_at"] = pd.Timestamp("2025-01-01", tz="UTC")
    frame.loc[late, "late"] = ~frame.loc[late, "late"]  # who learns from them learns the opposite
    return frame


@pytest.fixture
def spec(tmp_path: Path, rows: pd.DataFrame) -> ModelSpec:
    write_month(tmp_path, "all", rows)
    source = {"kind": "files", "path": f"{tmp_path}/deliveries/*.csv"}
    return ModelSpec.model_validate({**SPEC, "source": source})


def facts(fit: Fit) -> dict[str, object] | None:
    return None if fit.fitted is None else fit.fitted.model_dump(exclude={"path"})


@pytest.mark.slow
def test_a_model_learns_only_from_what_was_known_then(spec: ModelSpec, rows: pd.DataFrame, tmp_path: Path) -> None:
    done: list[int] = []
    fits = fit_all(spec, PLAN, 0, CHOICE, tmp_path / "matrix", lambda: done.append(1))
    for fit, end in zip(fits, ENDS, strict=False):
        known = (rows["sent_at"] + spec.maturity <= end) & (rows["known_at"] <= end)
        assert fit.fitted is not None
        assert fit.fitted.rows == known.sum()
    assert len(done) == 3
    assert fit_all(spec, PLAN, 0, CHOICE, tmp_path / "matrix", lambda: done.append(1)) == fits
    assert len(done) == 3  # what was fitted is kept

    folder = tmp_path / "rows"
    folder.mkdir()
    for place, (since, until) in enumerate(pairwise(ENDS)):
        window = rows[(rows["sent_at"] >= since) & (rows["sent_at"] < until) & (rows["known_at"] <= ENDS[-1])]
        labelled = window.assign(**{LABEL: label_texts(window["late"].astype(int), "binary")})
        labelled.drop(columns=["late", "known_at"]).to_parquet(folder / f"{place}.parquet")
    failed = [fits[0], Fit(place=1, note="2024-01-31: no model could be fitted: no row"), fits[2]]
    found = measure_all(spec, failed, folder, tmp_path / "matrix")
    quality = found.array()
    assert quality[0, 0] < 0.3  # the first model in the world turned round
    assert quality[2, 2] > quality[0, 2] + 0.1
    assert found.quality[1] == (None, found.quality[0][1], found.quality[0][2])  # the model before stayed
    assert found.notes == ("2024-01-31: no model could be fitted: no row",)
    assert found.chance == pytest.approx(0.5)
    assert measure_all(spec, [], folder, tmp_path / "matrix") == found

    with ThreadPoolExecutor(2) as workers:  # side by side all is the same but the paths and the seconds
        beside = fit_all(spec, PLAN, 0, CHOICE, tmp_path / "beside", workers=workers)
        assert [(one.place, facts(one)) for one in beside] == [(one.place, facts(one)) for one in fits]
        again = measure_all(spec, [beside[0], failed[1], beside[2]], folder, tmp_path / "beside", workers)
    assert again.model_copy(update={"seconds": found.seconds, "predicting": found.predicting}) == found
