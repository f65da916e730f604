"""Inputs unlike the training data are flagged, logged, counted, and refused where the spec says so."""

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from everfit.tasks.predictions import prediction_log
from everfit.tasks.scoring.outliers import FILE, OutlierDetector
from everfit.tasks.statistics.profile import profile_frame
from everfit.tasks.storage.tables import Table


@pytest.fixture
def model(registry: Any, sources: dict[str, str], made_up: Any, tmp_path: Path) -> str:
    """A champion with what training leaves beside it."""
    folder = tmp_path / "with-detector"
    shutil.copytree(urlparse(sources["first"]).path, folder)
    rows = made_up(400)
    features = ["distance", "wind", "seats", "carrier", "freight"]
    (folder / Path(FILE).name).write_text(OutlierDetector.fit(profile_frame(rows, features), rows).canonical_json())
    registry.sources = {**registry.sources, "watched": folder.as_uri()}
    registry.champion("delays", registry.add("delays", "watched"))
    return "delays"


def test_a_wild_input_is_answered_flagged_logged_and_counted(
    model: str, serve: Any, good: dict[str, Any], workspace: Path
) -> None:
    service = serve(model)
    body = {"records": [good, good | {"distance": 1e9}]}
    usual, wild = service.client.post(f"/models/{model}/predict", json=body).json()["predictions"]
    assert usual["outlier"] <= 0.99
    assert wild["outlier"] > 0.999
    assert 'everfit_outliers_total{model="delays"} 1.0' in service.client.get("/metrics").text
    service.stop()
    frame = prediction_log.read(Table(str(workspace / model / "predictions")), None, "departs").set_index(
        "_prediction_id"
    )
    for one in (usual, wild):
        assert frame.loc[one["prediction_id"], "_outlier"] == one["outlier"]


def test_the_spec_may_refuse_them(model: str, serve: Any, good: dict[str, Any], workspace: Path) -> None:
    service = serve(model, outliers="refuse")
    refused = service.client.post(f"/models/{model}/predict", json={"records": [good, good | {"distance": 1e9}]})
    assert refused.status_code == 422
    assert "row 1 is more unlike the training data" in refused.json()["message"]
    assert service.client.post("/invocations", json={"dataframe_records": [good]}).status_code == 200
    metrics = service.client.get("/metrics").text
    assert 'everfit_refused_outliers_total{model="delays"} 1.0' in metrics
    service.stop()
    assert len(prediction_log.read(Table(str(workspace / model / "predictions")), None, "departs")) == 1
