"""The service answers with the champion, logs every answer, and changes champions without a hitch."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa
import pytest
from mlflow import MlflowClient
from support.events import emitted

from everfit.infra.serving.model_cache import ModelCache
from everfit.tasks.core.event_names import VERSION_NOT_SERVED
from everfit.tasks.predictions import prediction_log
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import Table


def log(workspace: Path, model: str = "delays") -> pd.DataFrame:
    return prediction_log.read(
        Table(str(workspace / model / "predictions")), None, "departs", arms=("champion", "shadow")
    )


def test_answers_with_the_champion_and_logs_it(
    registry: Any, serve: Any, workspace: Path, good: dict[str, Any]
) -> None:
    version = registry.add("delays", "first")
    registry.champion("delays", version)
    service = serve("delays")
    named = {**good, "key": 17, "event_time": "2013-10-02T12:00:00+02:00"}
    answer = service.client.post("/models/delays/predict", json={"records": [named, good]})

    assert answer.status_code == 200, answer.text
    first, second = answer.json()["predictions"]
    assert set(first) == {"prediction_id", "prediction", "probabilities", "model_version", "outlier"}
    assert first["model_version"] == version
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert first["prediction"] == int(first["probabilities"]["1"] > 0.5)
    service.stop()

    frame = log(workspace).set_index("_prediction_id")
    assert set(frame.index) == {first["prediction_id"], second["prediction_id"]}
    row = frame.loc[first["prediction_id"]]
    assert row["departs"] == pd.Timestamp("2013-10-02T10:00:00Z")
    assert row["_key"] == row_keys(pd.DataFrame({"flight": [17]}), ["flight"])[0]
    assert (row["_score"], row["_prediction"]) == (first["probabilities"]["1"], str(first["prediction"]))
    assert (row["_arm"], row["_client"], row["_model_version"]) == ("champion", "local", version)
    assert {name: row[name] for name in good} == good
    assert pd.isna(frame.loc[second["prediction_id"], "flight"])


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_serves_every_kind_of_task(registry: Any, serve: Any, workspace: Path, good: dict[str, Any], task: str) -> None:
    registry.champion("delays", registry.add("delays", task))
    service = serve("delays")
    (answer,) = service.client.post("/models/delays/predict", json={"records": [good]}).json()["predictions"]
    service.stop()

    row = log(workspace).iloc[0]
    if task == "regression":
        assert answer["probabilities"] is None
        assert row["_prediction"] == row["_score"] == answer["prediction"]
    else:
        assert list(answer["probabilities"]) == ["early", "late", "on time"]
        assert (
            row["_prediction"] == answer["prediction"] == max(answer["probabilities"], key=answer["probabilities"].get)
        )
        assert row["_probabilities"].tolist() == list(answer["probabilities"].values())


def test_a_model_without_everfits_schema_is_served_by_its_signature(
    registry: Any, serve: Any, good: dict[str, Any]
) -> None:
    registry.champion("delays", registry.add("delays", "plain"))
    service = serve("delays")

    assert service.client.post("/invocations", json={"dataframe_records": [good]}).status_code == 200
    refused = service.client.post("/invocations", json={"dataframe_records": [{**good, "seats": "many"}]})
    assert (refused.status_code, refused.json()["column"]) == (422, "seats")


def test_releases_and_rollbacks_are_served_without_a_failed_request(
    registry: Any, serve: Any, workspace: Path, good: dict[str, Any]
) -> None:
    first, second = registry.add("delays", "first"), registry.add("delays", "second")
    registry.champion("delays", first)
    service = serve("delays")
    answered: list[tuple[str, int]] = []
    failed: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=service.url, timeout=20) as client:
            while not ended.is_set():
                answer = client.post("/models/delays/predict", json={"records": [good]})
                if answer.status_code != 200:
                    failed.append(answer.text)
                    continue
                (one,) = answer.json()["predictions"]
                answered.append((one["prediction_id"], one["model_version"]))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    try:
        for version in (second, first, second):
            registry.champion("delays", version)
            from_here = len(answered)
            deadline = threading.Event()
            for _ in range(500):
                if any(reported == version for _, reported in answered[from_here:]):
                    break
                deadline.wait(0.01)
            assert any(reported == version for _, reported in answered[from_here:]), "not served within 5 s"
    finally:
        ended.set()
        for asker in askers:
            asker.join()
    service.stop()

    assert failed == []
    frame = log(workspace)
    logged = list(zip(frame["_prediction_id"], frame["_model_version"], strict=True))
    assert sorted(logged) == sorted(answered)


@pytest.mark.usefixtures("prefect_server")
def test_a_version_that_cannot_be_served_changes_nothing_and_is_told(
    registry: Any, serve: Any, good: dict[str, Any], until: Any
) -> None:
    began = datetime.now(UTC)
    first, pickle = registry.add("delays", "first"), registry.add("delays", "pickle")
    registry.champion("delays", first)
    service = serve("delays")
    registry.champion("delays", pickle)
    for _ in range(200):
        status = service.client.get("/models/delays").json()
        if status["failed_version"] is not None:
            break
        threading.Event().wait(0.02)

    assert (status["version"], status["failed_version"]) == (first, pickle)
    assert "everfit loads only 'skops'" in status["error"]
    assert service.client.post("/models/delays/predict", json={"records": [good]}).status_code == 200
    assert f'everfit_failed_version{{model="delays"}} {pickle}.0' in service.client.get("/metrics").text
    events = emitted("delays", began, VERSION_NOT_SERVED)[VERSION_NOT_SERVED]
    assert (events["version"], events["served"]) == (pickle, first)
    assert "everfit loads only 'skops'" in events["reason"]
    registry.champion("delays", first)  # taken back, so nothing is wrong any more
    until(lambda: service.client.get("/models/delays").json()["failed_version"] is None)


def test_a_look_that_ends_with_an_error_is_not_the_last_one(
    registry: Any, serve: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = registry.add("delays", "first"), registry.add("delays", "second")
    registry.champion("delays", first)
    service = serve("delays")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ModelCache, "remember", full)
        registry.champion("delays", second)
        until(lambda: "No space left" in service.client.get("/models/delays").json()["error"])
    registry.champion("delays", first)
    until(lambda: service.client.get("/models/delays").json()["version"] == first)


def test_a_copy_of_another_registrys_version_is_not_served_for_this_ones(
    registry: Any, serve: Any, good: dict[str, Any], tmp_path: Path, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.champion("delays", registry.add("delays", "first"))
    service = serve("delays")
    ask = {"dataframe_records": [good]}
    one = service.client.post("/models/delays/predict", json={"records": [good]}).json()["predictions"][0]
    service.stop()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    other = type(registry)(MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'other.db'}"), registry.sources)
    other.champion("delays", other.add("delays", "second"))

    service = serve("delays")

    def answered() -> Any:
        return service.client.post("/models/delays/predict", json={"records": [good]}).json()["predictions"][0]

    until(lambda: answered()["probabilities"] != one["probabilities"])
    assert service.client.post("/invocations", json=ask).headers["everfit-model-version"] == "1"


def test_starts_with_the_last_champion_when_the_registry_is_down(
    registry: Any, serve: Any, workspace: Path, good: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.champion("delays", registry.add("delays", "first"))
    serve("delays").stop()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    service = serve("delays")

    assert service.client.post("/models/delays/predict", json={"records": [good]}).status_code == 200
    status = service.client.get("/models/delays").json()
    assert (status["version"], status["registry_reachable"]) == (1, False)


def test_starts_and_answers_while_the_tables_store_is_down(
    registry: Any, serve: Any, good: dict[str, Any], until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.champion("delays", registry.add("delays", "first"))
    monkeypatch.setenv("EVERFIT_WORKSPACE", "s3://none/at-all")
    for name, value in {"ENDPOINT_URL": "http://127.0.0.1:9", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)

    service = serve("delays")

    assert service.client.post("/models/delays/predict", json={"records": [good]}).status_code == 200
    until(lambda: "can't be used" in service.client.get("/models/delays").json()["drain_error"])
    assert service.client.get("/models/delays").json()["spool_bytes"] > 0
    labels = {"labels": [{"key": 1, "label": 1}]}
    assert service.client.post("/models/delays/labels", json=labels).status_code == 503


def test_is_not_ready_before_there_is_a_champion(registry: Any, serve: Any, good: dict[str, Any]) -> None:
    version = registry.add("delays", "first")
    service = serve("delays", ready=False)

    assert service.client.get("/health").status_code == 503
    refused = service.client.post("/models/delays/predict", json={"records": [good]})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    registry.champion("delays", version)
    for _ in range(200):
        if service.client.get("/ping").status_code == 200:
            break
        threading.Event().wait(0.02)
    assert service.client.post("/models/delays/predict", json={"records": [good]}).status_code == 200


def test_a_full_spool_refuses_and_says_why(registry: Any, serve: Any, workspace: Path, good: dict[str, Any]) -> None:
    (workspace / "delays").mkdir()
    (workspace / "delays" / "predictions").write_text("a file where the table should be")
    registry.champion("delays", registry.add("delays", "first"))
    service = serve("delays", spool_bytes=65536)
    answered = set()
    for _ in range(20):
        answer = service.client.post("/models/delays/predict", json={"records": [good] * 50})
        if answer.status_code != 200:
            break
        answered |= {one["prediction_id"] for one in answer.json()["predictions"]}

    assert answer.status_code == 503
    assert "the spool holds" in answer.json()["message"]
    (workspace / "delays" / "predictions").unlink()
    service.stop()
    assert set(log(workspace)["_prediction_id"]) == answered


def test_a_challenger_on_shadow_predicts_and_is_never_given(
    registry: Any, serve: Any, workspace: Path, good: dict[str, Any]
) -> None:
    first, second = registry.add("delays", "first"), registry.add("delays", "second")
    registry.champion("delays", first)
    registry.client.set_registered_model_alias("delays", "challenger", str(second))
    service = serve("delays", shadow=True)
    for _ in range(200):
        if service.client.get("/models/delays").json()["challenger"]:
            break
        threading.Event().wait(0.02)
    for row in range(5):
        answer = service.client.post("/models/delays/predict", json={"records": [{**good, "key": row}]})
        assert answer.json()["predictions"][0]["model_version"] == first
    service.stop()

    frame = log(workspace)
    assert sorted(zip(frame["_arm"], frame["_model_version"], frame["flight"], strict=True)) == [
        *(("champion", first, row) for row in range(5)),
        *(("shadow", second, row) for row in range(5)),
    ]


def test_a_version_whose_inputs_the_log_has_no_place_for_is_not_served(
    registry: Any, serve: Any, good: dict[str, Any], workspace: Path, until: Any
) -> None:
    first, second = registry.add("delays", "first"), registry.add("delays", "second")
    # The log knows `wind` as a text, from a model of before; to the two of now it's a number.
    now = datetime(2013, 10, 1, tzinfo=UTC)
    rows = pa.table({"wind": ["strong"], "departs": pa.array([now], pa.timestamp("us", "UTC")), "_day": [now.date()]})
    Table(str(workspace / "delays" / "predictions")).append(rows, "of before")
    registry.champion("delays", first)

    service = serve("delays", ready=False)
    until(lambda: service.client.get("/models/delays").json()["failed_version"] == first)
    assert "column 'wind' of the prediction log is 'string'" in service.client.get("/models/delays").json()["error"]
    registry.champion("delays", second)
    until(lambda: service.client.get("/models/delays").json()["failed_version"] == second)
    assert service.client.post("/models/delays/predict", json={"records": [good]}).status_code == 503
