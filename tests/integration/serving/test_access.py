"""Only who has a token is answered, tokens change without a restart, and nobody takes more than their share."""

import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from everfit.infra.serving import ServingError, run
from everfit.infra.serving.access import (
    AccessError,
    Limiter,
    Tokens,
    is_host,
    new_token,
    refuse_other_sites,
)
from everfit.tasks.predictions import prediction_log
from everfit.tasks.storage.tables import Table


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def later(path: Path, text: str, by_seconds: int) -> None:
    """Write a file whose time of change surely differs."""
    path.write_text(text)
    os.utime(path, (by_seconds, by_seconds))


def test_a_token_is_needed_logged_as_its_client_and_kept_only_as_a_hash(
    registry: Any, serve: Any, workspace: Path, tmp_path: Path, good: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token, line = new_token("shop")
    file = tmp_path / "tokens"
    file.write_text(f"# who may ask\n{line}\n")
    registry.champion("delays", registry.add("delays", "first"))
    service = serve("delays", tokens=file)
    body = {"records": [good]}

    for headers in ({}, bearer("wrong"), {"authorization": f"Basic {token}"}):
        refused = service.client.post("/models/delays/predict", json=body, headers=headers)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert service.client.get("/metrics").status_code == 401
    assert service.client.get("/openapi.json").status_code == 401
    assert service.client.get("/openapi.json", headers=bearer(token)).status_code == 200
    for hidden in (service.client.get("/models/none"), service.client.post("/models/none/predict", json=body)):
        assert "delays" not in hidden.text
    assert service.client.get("/models/delays").json() == {"name": "delays", "version": 1}
    assert service.client.post("/models/delays/predict", json=body, headers=bearer(token)).status_code == 200
    assert "champion" in service.client.get("/models/delays", headers=bearer(token)).json()
    service.stop()

    assert prediction_log.read(Table(str(workspace / "delays" / "predictions")), None, "departs")[
        "_client"
    ].tolist() == ["shop"]
    assert token not in file.read_text()
    assert token not in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"host": "evil.example"},  # a name that its owner points at this machine
        {"host": "evil.example", "origin": "http://evil.example"},
    ],
)
def test_without_tokens_web_pages_of_other_sites_are_refused(
    registry: Any, serve: Any, good: dict[str, Any], headers: dict[str, str]
) -> None:
    registry.champion("delays", registry.add("delays", "first"))
    client = serve("delays").client

    label = {"labels": [{"key": 1, "label": 1}]}
    for answer in (
        client.post("/models/delays/labels", json=label, headers=headers),
        client.post("/models/delays/predict", json={"records": [good]}, headers=headers),
        client.get("/models/delays", headers=headers),
        client.get("/openapi.json", headers=headers),
    ):
        assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):  # what a page may send without asking
        for path in ("labels", "predict"):
            refused = client.post(f"/models/delays/{path}", content=b"{}", headers={"content-type": kind})
            assert refused.status_code == 415
    own = {"origin": str(client.base_url).rstrip("/")}
    assert client.post("/models/delays/predict", json={"records": [good]}, headers=own).status_code == 200


def test_a_client_labels_only_the_predictions_that_it_has_asked_for(
    registry: Any, serve: Any, tmp_path: Path, good: dict[str, Any]
) -> None:
    (shop, line), (other, second) = new_token("shop"), new_token("other")
    file = tmp_path / "tokens"
    file.write_text(f"{line}\n{second}\n")
    registry.champion("delays", registry.add("delays", "first"))
    client = serve("delays", tokens=file, labels_of="own").client
    own = {"records": [{**good, "flight": 1}]}
    assert client.post("/models/delays/predict", json=own, headers=bearer(shop)).status_code == 200
    label = {"labels": [{"key": 1, "label": 1}]}

    def answer(token: str) -> httpx.Response:
        return client.post("/models/delays/labels", json=label, headers=bearer(token))

    while answer(shop).status_code != 200:  # until the prediction is in the log
        time.sleep(0.02)
    refused = answer(other)
    assert refused.status_code == 403
    assert "no prediction of the client 'other'; nothing was recorded" in refused.json()["message"]
    unknown = {"labels": [{"key": 1, "label": 1}, {"key": 2, "label": 1}]}
    refused = client.post("/models/delays/labels", json=unknown, headers=bearer(shop))
    assert "1 of 2 labels are of keys" in refused.json()["message"]


@pytest.mark.parametrize("host", ["[", "[::1", "[v1.x]", "localhost[", "localhost:x", "local host"])
def test_a_malformed_host_is_no_host(host: str) -> None:
    assert not is_host(host)
    with pytest.raises(AccessError, match="is not this machine"):
        refuse_other_sites(host, None)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "[::1]", "[::1]:8080"])
def test_each_name_of_this_machine_is_answered(host: str) -> None:
    assert is_host(host)
    refuse_other_sites(host, f"http://{host}")
    with pytest.raises(AccessError, match="may not send requests"):
        refuse_other_sites(host, "http://[")


def test_a_malformed_host_gets_a_400_on_every_path(serve: Any) -> None:
    client = serve("delays", ready=False).client

    for path in ("/health", "/health/", "/nothing/", "/models/delays", "/openapi.json", "/metrics"):
        assert client.get(path, headers={"host": "[::1"}).status_code == 400


def test_tokens_change_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    old, old_line = new_token("shop")
    new, new_line = new_token("shop")
    later(file, old_line, 1)
    tokens = Tokens(file)
    assert tokens.client(f"Bearer {old}") == "shop"

    def look_again() -> None:
        tokens._checked = -10.0

    later(file, f"{old_line}\n{new_line}", 2)
    look_again()
    assert {tokens.client(f"Bearer {one}") for one in (old, new)} == {"shop"}

    later(file, new_line, 3)
    look_again()
    with pytest.raises(AccessError, match="is unknown"):
        tokens.client(f"Bearer {old}")

    later(file, "shop not-a-hash", 4)
    look_again()
    assert tokens.client(f"Bearer {new}") == "shop"

    file.unlink()
    look_again()
    with pytest.raises(AccessError):
        tokens.client(f"Bearer {new}")


def test_requests_are_bounded_by_client() -> None:
    limiter = Limiter(rate=2.0, concurrent=2)
    with limiter.admit("a"), limiter.admit("a"):
        with pytest.raises(AccessError, match="already has 2 open requests"), limiter.admit("a"):
            pass
        with limiter.admit("b"):
            pass
    for _ in range(2):
        with limiter.admit("a"):
            pass
    with pytest.raises(AccessError, match="more than 2 requests per second") as refused, limiter.admit("a"):
        pass
    assert (refused.value.status, refused.value.retry_after_s) == (429, 1)


def test_a_client_over_its_rate_is_answered_429(registry: Any, serve: Any, good: dict[str, Any]) -> None:
    registry.champion("delays", registry.add("delays", "first"))
    client = serve("delays", rate=1).client
    codes = [client.post("/models/delays/predict", json={"records": [good]}).status_code for _ in range(4)]
    assert codes[:2] == [200, 200]
    assert 429 in codes


def test_does_not_start_open_to_the_network_or_closed_to_everybody(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="give a token file, or bind to"):
        run(["delays"], host="192.0.2.1")
    broken = tmp_path / "broken.txt"
    broken.write_text("shop not-a-hash\n")
    for file, told in ((tmp_path / "typo.txt", "No such file"), (tmp_path, "directory"), (broken, "line 1 is not")):
        with pytest.raises(ServingError, match=f"the token file .*{file.name}.*{told}"):
            run(["delays"], tokens_file=file)
    with pytest.raises(ServingError, match="each only once"):
        run(["delays", "delays"])


def test_no_feature_value_is_logged(
    registry: Any, serve: Any, good: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    registry.champion("delays", registry.add("delays", "first"))
    client: httpx.Client = serve("delays").client
    secret = "c0ffee-of-a-person"
    assert client.post("/models/delays/predict", json={"records": [{**good, "carrier": secret}]}).status_code == 422
    assert client.post("/invocations", content=secret, headers={"content-type": "text/csv"}).status_code < 500
    assert secret not in caplog.text
    assert secret not in client.get("/metrics").text
    assert threading.active_count() < 100
