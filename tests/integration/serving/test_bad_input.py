"""Bad input is answered with a 4xx that says what is wrong, never a 5xx, and never changes what is served."""

import json
import random
from typing import Any

import httpx
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples

BAD_VALUES: list[tuple[str, Any, str]] = [
    ("distance", "far", "a finite number"),
    ("distance", True, "a finite number"),
    ("distance", [1.0], "a finite number"),
    ("distance", {}, "a finite number"),
    ("distance", None, "never null in training"),
    ("distance", 2**53 + 1, "a finite number"),
    ("distance", 10**400, "a finite number"),
    ("distance", 1e300, "a number of at most 3.4e+38"),
    ("wind", "", "a finite number"),
    ("seats", 1.5, "a whole number"),
    ("seats", 2**63, "a whole number"),
    ("seats", "12", "a whole number"),
    ("seats", False, "a whole number"),
    ("carrier", "ZZ", "a category known from training ('AA', 'B6', 'UA')"),
    ("carrier", 7, "text"),
    ("carrier", "A" * 10_000, "a category known from training"),
    ("carrier", None, "never null in training"),
    ("freight", 1, "true or false"),
    ("freight", "true", "true or false"),
    ("departs", "yesterday", "a time in ISO 8601"),
    ("departs", 1380585600, "a time in ISO 8601"),
    ("departs", "0001-01-01T00:00:00Z", "a time that is known"),
    ("departs", "9999-12-31T23:59:59-14:00", "a time that is known"),
    ("departs", "9999-13-31", "a time in ISO 8601"),
    ("flight", "one", "a whole number"),
]


@pytest.fixture
def ours(registry: Any, serve: Any) -> httpx.Client:
    registry.champion("delays", registry.add("delays", "first"))
    client: httpx.Client = serve("delays", max_rows=100, max_days=30, max_body=100_000).client
    return client


def test_tells_column_value_and_what_is_expected(ours: httpx.Client, good: dict[str, Any]) -> None:
    for column, value, expected in BAD_VALUES:
        body = json.dumps({"records": [good, {**good, column: value}]})
        answer = ours.post("/models/delays/predict", content=body)
        told = answer.json()
        assert answer.status_code in {400, 422}, (column, value, answer.text)
        if answer.status_code == 400:  # a number that JSON itself can't hold
            assert isinstance(value, int)
            continue
        assert (told["column"], told["row"]) == (column, 1), told
        assert expected in told["message"]
        assert len(told["message"]) < 500


def test_a_missing_column_is_named(ours: httpx.Client, good: dict[str, Any]) -> None:
    del good["seats"]
    answer = ours.post("/models/delays/predict", json={"records": [good]})
    good["seats"] = 100

    assert answer.status_code == 422
    assert answer.json()["message"] == "column 'seats': expected a whole number of 64 bits; the column is missing"


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_nan_and_infinity_are_refused(ours: httpx.Client, good: dict[str, Any], literal: str) -> None:
    body = json.dumps({"records": [{**good, "distance": "@"}]}).replace('"@"', literal)
    refused = ours.post("/models/delays/predict", content=body)
    assert refused.status_code in {400, 422}
    assert refused.json().get("column", "distance") == "distance"
    # NaN is how Python, and so MLflow's client, writes a missing value; this column may miss one.
    missing = json.dumps({"records": [{**good, "wind": float("nan")}]})
    assert ours.post("/models/delays/predict", content=missing).status_code == 200


def test_new_categories_are_let_through_where_the_policy_says_so(
    registry: Any, serve: Any, good: dict[str, Any]
) -> None:
    registry.champion("delays", registry.add("delays", "first"))
    client = serve("delays", new_categories="accept").client

    assert client.post("/models/delays/predict", json={"records": [{**good, "carrier": "ZZ"}]}).status_code == 200


def test_too_much_is_refused(ours: httpx.Client, good: dict[str, Any]) -> None:
    assert ours.post("/models/delays/predict", json={"records": [good] * 101}).status_code == 413
    assert ours.post("/models/delays/predict", content=b"x" * 100_001).status_code == 413

    def chunks() -> Any:
        yield from [b"x" * 10_000] * 20

    assert ours.post("/models/delays/predict", content=chunks()).status_code == 413
    days = [f"{day:%Y-%m-%d}T00:00:00Z" for day in pd.date_range("2020-01-01", periods=31)]
    records = [{**good, "departs": day} for day in days]
    assert ours.post("/models/delays/predict", json={"records": records[1:]}).status_code == 200
    refused = ours.post("/models/delays/predict", json={"records": records})
    assert (refused.status_code, "31 days by 'departs'; send at most 30" in refused.text) == (413, True)
    entries = [{"key": 1, "label": 1, "label_time": day} for day in days]
    assert ours.post("/models/delays/labels", json={"labels": entries}).status_code == 413
    assert ours.post("/models/delays/predict", json={"records": []}).status_code == 400
    deep = b'{"records": ' + b"[" * 40_000 + b"]" * 40_000 + b"}"
    assert ours.post("/models/delays/predict", content=deep).status_code in {400, 422}


def test_a_key_must_be_the_models(ours: httpx.Client, good: dict[str, Any]) -> None:
    for key in ({"tail": 1}, {"flight": "one"}, ["a"], "one"):
        answer = ours.post("/models/delays/predict", json={"records": [{**good, "key": key}]})
        assert answer.status_code == 422, (key, answer.text)
    assert ours.post("/models/delays/predict", json={"records": [{**good, "key": {"flight": 3}}]}).status_code == 200
    nested = {"features": good, "key": 3, "event_time": "2013-10-01T00:00:00Z"}
    assert ours.post("/models/delays/predict", json={"records": [nested]}).status_code == 200


@pytest.mark.parametrize("path", ["/models/other", "/models/other/predict", "/nothing"])
def test_what_is_not_there_is_a_404(ours: httpx.Client, path: str) -> None:
    answer = ours.get(path) if path.endswith(("other", "nothing")) else ours.post(path, json={"records": []})
    assert answer.status_code == 404


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    column=st.sampled_from(["distance", "wind", "seats", "carrier", "freight", "key", "event_time", "departs"]),
    value=json_values,
)
def test_any_value_in_any_column_is_no_5xx(ours: httpx.Client, good: dict[str, Any], column: str, value: Any) -> None:
    body = json.dumps({"records": [{**good, column: value}]}, allow_nan=True)
    answer = ours.post("/models/delays/predict", content=body.encode("utf-8", "surrogatepass"))
    assert answer.status_code < 500, (column, value, answer.text)


def test_mutated_bodies_are_no_5xx_and_leave_the_service_well(ours: httpx.Client, good: dict[str, Any]) -> None:
    dice = random.Random(0)
    whole = json.dumps({"dataframe_records": [good, good]}).encode()
    for _ in range(600):
        body = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            place = dice.randrange(len(body))
            match dice.randrange(3):
                case 0:
                    body[place] = dice.randrange(256)
                case 1:
                    del body[place : place + dice.randint(1, 20)]
                case _:
                    body[place:place] = body[dice.randrange(len(body)) :][: dice.randint(1, 20)]
        kind = dice.choice(["application/json", "text/csv"])
        answer = ours.post("/invocations", content=bytes(body), headers={"content-type": kind})
        assert answer.status_code < 500, (bytes(body), answer.text)
    assert ours.post("/invocations", json={"dataframe_records": [good]}).status_code == 200


def test_the_openapi_description_has_an_example_that_works(ours: httpx.Client) -> None:
    described = ours.get("/openapi.json").json()
    for path in ("/invocations", "/models/delays/predict", "/models/delays/labels"):
        example = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert ours.post(path, json=example).status_code == 200
    assert ours.get("/docs").status_code == ours.get("/redoc").status_code == 404


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_generated_requests_find_nothing(ours: httpx.Client) -> None:
    import schemathesis

    schema = schemathesis.openapi.from_url(f"{ours.base_url}/openapi.json")
    for operation in schema.get_all_operations():
        strategy = operation.ok().as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

        @settings(max_examples=examples(15), deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=strategy)
        def ask(case: Any) -> None:
            assert case.call(base_url=str(ours.base_url)).status_code < 500

        if operation.ok().method.upper() == "POST":
            ask()
