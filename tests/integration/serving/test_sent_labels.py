"""Labels that clients tell find the predictions that they got."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from everfit.blocks.errors import DataError, WorkspaceError
from everfit.infra.serving.responses import refusal
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import labels
from everfit.tasks.predictions.drawn_answers import unmatched
from everfit.tasks.storage.tables import ConflictError, Table


def test_labels_before_and_after_their_prediction_find_it(
    registry: Any, serve: Any, workspace: Path, good: dict[str, Any]
) -> None:
    registry.champion("delays", registry.add("delays", "first"))
    service = serve("delays")
    path, at = "/models/delays/labels", "2013-10-02T00:00:00Z"
    early = service.client.post(path, json={"labels": [{"key": 1, "label": 1, "label_time": at}]})
    assert early.json() == {"read": 1, "added": 1, "corrected": 0, "unchanged": 0, "older": 0, "deleted": 0}
    records = [{**good, "key": key, "event_time": "2013-10-01T12:00:00Z"} for key in (1, 2, 3)]
    assert service.client.post("/models/delays/predict", json={"records": records}).status_code == 200
    late = [{"key": {"flight": 2}, "label": "0", "label_time": at}, {"key": 77, "label": 0, "label_time": at}]
    assert service.client.post(path, json={"labels": late}).json()["added"] == 2
    assert service.client.post(path, json={"labels": late}).json()["unchanged"] == 2
    corrected = {"key": 1, "label": 0, "label_time": "2013-10-03T00:00:00Z"}
    assert service.client.post(path, json={"labels": [corrected]}).json()["corrected"] == 1
    service.stop()

    predicted, reported = (Table(str(workspace / "delays" / name)) for name in ("predictions", "labels"))
    window = Window(until=datetime(2013, 10, 4, tzinfo=UTC))

    def known(day: int) -> dict[int, str]:
        frame = labels.read_labelled(predicted, reported, window, "departs", datetime(2013, 10, day, 12, tzinfo=UTC))
        return dict(zip(frame["flight"], frame["_label"].fillna("open"), strict=True))

    assert known(2) == {1: "1", 2: "0", 3: "open"}
    assert known(3) == {1: "0", 2: "0", 3: "open"}
    assert unmatched(reported, predicted, window.until) == 1


def test_labels_that_are_not_the_models_are_refused(registry: Any, serve: Any, good: dict[str, Any]) -> None:
    registry.champion("delays", registry.add("delays", "first"))
    client = serve("delays").client
    for one in (
        {"key": 1},
        {"key": 1, "label": "maybe"},
        {"key": 1, "label": True},
        {"key": 1, "label": 2},
        {"key": None, "label": 1},
        {"key": {"tail": 1}, "label": 1},
        {"key": "one", "label": 1},
        {"key": 1, "label": 1, "label_time": "soon"},
    ):
        assert client.post("/models/delays/labels", json={"labels": [one]}).status_code == 422, one
    for body in ({}, [], {"labels": []}, {"labels": [1]}):
        assert client.post("/models/delays/labels", json=body).status_code == 422


def test_labels_that_another_writer_comes_before_are_answered_and_recorded_later(
    registry: Any, serve: Any, workspace: Path, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.champion("delays", registry.add("delays", "first"))
    service = serve("delays", drain_every="0.2s")
    client, append = service.client, Table.append
    faults: list[Exception] = [ConflictError("another was faster"), WorkspaceError(f"{workspace} is full")]

    def contended(table: Table, *given: Any, **named: Any) -> int:
        if faults:
            raise faults.pop()
        return append(table, *given, **named)

    monkeypatch.setattr(Table, "append", contended)
    body = {"labels": [{"key": 1, "label": 1}]}
    assert client.post("/models/delays/labels", json=body).json()["added"] == 1
    assert client.post("/models/delays/labels", json=body).json()["unchanged"] == 1

    until(lambda: not faults and client.get("/models/delays").json()["labels"]["spool_bytes"] == 0)
    service.stop()
    recorded = Table(str(workspace / "delays" / "labels"))
    assert len(labels.known_at(recorded, datetime(2100, 1, 1, tzinfo=UTC))) == 1


def test_labels_that_are_no_numbers_that_can_be_kept_are_refused(registry: Any, serve: Any) -> None:
    registry.champion("delays", registry.add("delays", "regression"))
    client = serve("delays").client
    for reported in ("1" * 400, "-" + "1" * 400, "1e400", "1" * 5000):
        for beside in ("1", "NaN"):  # which is read by another parser
            body = f'{{"labels": [{{"key": 1, "label": {reported}}}], "beside": {beside}}}'
            assert client.post("/models/delays/labels", content=body).status_code in {400, 422}, (reported[:6], beside)


def test_data_that_does_not_fit_is_the_askers_matter() -> None:
    answer = refusal(DataError("a label of another type than those that are there"))

    assert answer.status_code == 422
