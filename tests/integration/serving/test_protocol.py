"""Clients of `mlflow models serve` work unchanged: the same payloads get the same answers from both."""

import io
import json
from typing import Any

import httpx
import pandas as pd
import pytest
from starlette.testclient import TestClient

from everfit.infra.serving.protocol import parse_csv
from everfit.tasks.models.input_column import InputColumn
from everfit.tasks.models.input_schema import InputSchema


def rows(count: int = 4) -> pd.DataFrame:
    columns = {
        "distance": [100.5, 2000.0, 3.0, 44.25],
        "wind": [3.5, None, 1.0, 12.25],
        "seats": [100, 200, 150, 399],
        "carrier": ["AA", "B6", "UA", "AA"],
        "freight": [True, False, False, True],
    }
    return pd.DataFrame(columns).head(count)


def records(count: int = 4) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(rows(count).to_json(orient="records"))
    return found


GOOD = {
    "split": {"dataframe_split": json.loads(rows().to_json(orient="split"))},
    "split without index": {"dataframe_split": json.loads(rows().to_json(orient="split", index=False))},
    "records": {"dataframe_records": records()},
    "one record": {"dataframe_records": records(1)},
    "another order": {"dataframe_records": [dict(reversed(one.items())) for one in records()]},
    "a column too many": {"dataframe_records": [{**one, "surplus": "x"} for one in records()]},
    "whole number for a fraction": {"dataframe_records": [{**records()[0], "distance": 100}]},
    "instances": {"instances": [one for one in records() if one["wind"] is not None]},
    "inputs": {"inputs": {name: [one[name] for one in records(1)] for name in records(1)[0]}},
    "params": {"dataframe_records": records(), "params": {}},
}
BAD = {
    "not JSON": b"{",
    "a list": b"[]",
    "no format": b"{}",
    "two formats": b'{"instances": [], "inputs": []}',
    "records that are an object": b'{"dataframe_records": {}}',
    "split that is a list": b'{"dataframe_split": []}',
    "split without data": b'{"dataframe_split": {"columns": ["distance"]}}',
    "split with a surplus key": b'{"dataframe_split": {"columns": ["a"], "data": [[1]], "rows": 1}}',
    "ragged split": b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}',
    "a missing column": json.dumps({"dataframe_records": [{"distance": 1.0}]}).encode(),
    "text for a number": json.dumps({"dataframe_records": [{**records()[0], "distance": "far"}]}).encode(),
    "different lengths": json.dumps(
        {"inputs": {**{key: [1.0] for key in records()[0]}, "distance": [1.0, 2.0]}}
    ).encode(),
    "not UTF-8": b'{"dataframe_records": [{"carrier": "\xff"}]}',
}


@pytest.fixture(scope="module")
def reference(sources: dict[str, str]) -> TestClient:
    """MLflow's own scoring server with the same model."""
    from mlflow.pyfunc import load_model, scoring_server

    return TestClient(scoring_server.init(load_model(sources["first"])), raise_server_exceptions=False)


@pytest.fixture
def ours(registry: Any, serve: Any) -> httpx.Client:
    registry.champion("delays", registry.add("delays", "first"))
    client: httpx.Client = serve("delays").client
    return client


@pytest.mark.filterwarnings("ignore:Hint. Inferred schema contains integer column:UserWarning")
def test_answers_what_mlflow_answers(ours: httpx.Client, reference: TestClient) -> None:
    for what, payload in GOOD.items():
        expected = reference.post("/invocations", json=payload)
        answer = ours.post("/invocations", json=payload)
        assert (expected.status_code, answer.status_code) == (200, 200), (what, expected.text, answer.text)
        assert answer.json() == expected.json(), what
        assert answer.headers["content-type"] == expected.headers["content-type"]


def test_refuses_what_mlflow_refuses(ours: httpx.Client, reference: TestClient) -> None:
    for what, payload in BAD.items():
        header = {"content-type": "application/json"}
        expected = reference.post("/invocations", content=payload, headers=header)
        answer = ours.post("/invocations", content=payload, headers=header)
        assert 400 <= expected.status_code < 500, (what, expected.text)
        assert answer.status_code in {400, 422}, (what, answer.text)
        assert set(answer.json()) >= {"error_code", "message"}, what


@pytest.mark.filterwarnings("ignore:Hint. Inferred schema contains integer column:UserWarning")
def test_refuses_a_fraction_that_mlflow_cuts_off(ours: httpx.Client, reference: TestClient) -> None:
    payload = {"dataframe_records": [{**records()[0], "seats": 1.5}]}

    assert reference.post("/invocations", json=payload).status_code == 200
    assert ours.post("/invocations", json=payload).json()["expected"] == "a whole number of 64 bits"


def test_reads_csv_as_mlflow_does(ours: httpx.Client, reference: TestClient) -> None:
    text = io.StringIO()
    rows().to_csv(text, index=False)
    for kind in ("text/csv", "text/csv; charset=utf-8"):
        header = {"content-type": kind}
        expected = reference.post("/invocations", content=text.getvalue(), headers=header)
        answer = ours.post("/invocations", content=text.getvalue(), headers=header)
        assert answer.json() == expected.json()
    bad = {"content-type": "text/csv"}
    assert ours.post("/invocations", content="distance\nfar", headers=bad).status_code == 422
    assert ours.post("/invocations", content="a,b\n1", headers=bad).status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=latin-1", "text/csv; header=present", ""])
def test_content_types_are_refused_as_by_mlflow(ours: httpx.Client, kind: str) -> None:
    assert ours.post("/invocations", content=b"{}", headers={"content-type": kind}).status_code == 415


def test_is_as_healthy_as_mlflow(ours: httpx.Client, reference: TestClient) -> None:
    for path in ("/ping", "/health", "/version"):
        expected, answer = reference.get(path), ours.get(path)
        assert (answer.status_code, answer.text) == (expected.status_code, expected.text)


def test_mlflows_client_is_answered(ours: httpx.Client) -> None:
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    client = ScoringServerClient("127.0.0.1", ours.base_url.port)
    complete = rows().dropna()
    client.ping()
    assert len(client.invoke(complete).get_predictions()) == len(complete)


def test_csv_keeps_text_that_looks_like_numbers() -> None:
    inputs = InputSchema(
        task="binary",
        features=(InputColumn(name="code", kind="string"), InputColumn(name="n", kind="long", nullable=True)),
    )

    table = parse_csv(b'code,n\n007,1\n"a,b",\n', inputs)

    assert table.columns == {"code": ["007", "a,b"], "n": [1, None]}
