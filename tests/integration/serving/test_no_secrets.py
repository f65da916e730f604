"""What everfit logs, prints, stores and answers is free of secrets: some are planted, and everything is searched."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from traceback import format_exception
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from prefect.client.orchestration import get_client
from support.deliveries import SPEC, deliveries

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.deployments.cli.runs import result_of
from everfit.flows.training_flow import training
from everfit.infra.serving.access import new_token
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.ledger import Ledger
from everfit.tasks.sources.reading import read_source
from everfit.tasks.storage.workspace import Workspace

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
MONTH = Window(since=datetime(2024, 2, 1, tzinfo=UTC), until=MARCH)
PLANTED = {name: f"planted-{name}-5f0e7c" for name in ("source", "bearer", "s3", "ledger", "mlflow", "prefect")}


def leaks(*places: object) -> list[str]:
    """The names of those that are found in texts, or in any file of folders."""
    results = []
    for place in places:
        parts = [path for path in place.rglob("*") if path.is_file()] if isinstance(place, Path) else [place]
        for part in parts:
            content = part.read_bytes() if isinstance(part, Path) else str(part).encode()
            results += [
                f"{name} in {str(part)[:200]}" for name, secret in PLANTED.items() if secret.encode() in content
            ]
    return results


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\x00" + PLANTED["s3"].encode() + b"\xff")
    assert [one.split()[0] for one in leaks(tmp_path, f"url {PLANTED['source']}", "nothing")] == ["s3", "source"]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "everfit")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PLANTED["s3"])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PLANTED["mlflow"])
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", f"everfit:{PLANTED['prefect']}")


@pytest.mark.usefixtures("prefect_server", "planted")
def test_a_turn_leaves_no_secret_anywhere(
    workspace: Path,
    mlflow_uri: str,
    postgres: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    # This PostgreSQL takes any password over its socket.
    ledger_url, source_url = (
        sa.make_url(postgres()).set(drivername="postgresql+psycopg", password=PLANTED[name])
        for name in ("ledger", "source")
    )
    engine = sa.create_engine(source_url)
    deliveries("2024-01-01", 60).to_sql("sent", engine, index=False)
    engine.dispose()
    monkeypatch.setenv("EVERFIT_LEDGER_URL", ledger_url.render_as_string(hide_password=False))
    source = {"kind": "sql", "url": source_url.render_as_string(hide_password=False), "table": "sent"}
    spec = workspace.parent / "deliveries.yaml"
    spec.write_text(yaml.safe_dump(SPEC | {"source": source}))

    turn = result_of(training(str(spec), MARCH, Trigger(reason="as usual"), return_state=True))

    assert turn["state"] == "Promoted"
    spec.unlink()  # the one place that is meant to have it
    ledger = Ledger.open(Settings())
    assert ledger.turns.of("deliveries")
    rows = []
    engine = sa.create_engine(ledger_url)
    with engine.connect() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        rows = [tuple(row) for table in tables.sorted_tables for row in connection.execute(table.select())]
    engine.dispose()
    with get_client(sync_client=True) as prefect:
        reported: list[Any] = [*prefect.read_logs(limit=200), *prefect.read_artifacts(), *prefect.read_flow_runs()]
        reported += prefect.read_block_documents()
    printed = capfd.readouterr()
    logged = [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    assert len(rows) >= 3
    assert "ingest" in " ".join(logged)
    # The workspace has the tables, the turn's package, and MLflow's database and artifacts.
    assert (workspace / "mlflow.db").exists()
    assert leaks(workspace.parent, Path(os.environ["PREFECT_HOME"]), rows, turn, reported, printed, logged) == []


@pytest.fixture
def refusing() -> Iterator[str]:
    """An API that knows nobody."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def a_spec(**source: Any) -> ModelSpec:
    return ModelSpec.model_validate(SPEC | {"source": source})


def read(spec: ModelSpec) -> None:
    list(read_source(spec.source, spec.columns, MONTH))


def from_file(tmp_path: Path, **source: Any) -> None:
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(SPEC | {"source": source}))
    load_spec(str(tmp_path / "spec.yaml"))


@pytest.mark.parametrize(
    "mistake",
    [
        lambda url, _: read(
            a_spec(kind="sql", url=f"postgresql+psycopg://me:{PLANTED['source']}@127.0.0.1:1/x", table="t")
        ),
        lambda url, _: read(a_spec(kind="sql", url=f"nonsense:{PLANTED['source']}", table="t")),
        lambda url, _: read(a_spec(kind="sql", url=f"mysql+none://me:{PLANTED['source']}@h/x", table="t")),
        lambda url, _: read(a_spec(kind="http", url=url, token=PLANTED["bearer"], retries=0)),
        lambda url, _: read(a_spec(kind="http", url="http://127.0.0.1:1/", token=PLANTED["bearer"], retries=0)),
        lambda url, _: Ledger.open(f"postgresql://me:{PLANTED['ledger']}@127.0.0.1:1/x"),
        lambda url, _: Ledger.open(f"mysql://me:{PLANTED['ledger']}@h/x"),
        lambda url, _: Ledger.open(f"postgresql:/{PLANTED['ledger']}@h/x"),
        lambda url, _: Workspace.of(Settings(workspace="s3://none/at-all")),
        lambda url, folder: from_file(folder, kind="sql", url=f"sqlite:///{PLANTED['source']}", table="t", query="q"),
        lambda url, folder: from_file(folder, kind="http", url=f"https://me:{PLANTED['source']}@example.com/rows"),
        lambda url, folder: from_file(folder, kind="files", path=f"https://me:{PLANTED['source']}@example.com/a.csv"),
        lambda url, folder: from_file(folder, kind="http", url=url, token=[PLANTED["bearer"]]),
    ],
    ids=[
        "database that is down",
        "url that is none",
        "driver that is missing",
        "token that is refused",
        "api that is down",
        "ledger that is down",
        "ledger of another kind",
        "ledger's url that is none",
        "store that is down",
        "spec that contradicts itself",
        "password in an address",
        "password in a file's address",
        "token of the wrong type",
    ],
)
@pytest.mark.usefixtures("planted")
def test_no_mistake_is_told_with_a_secret(
    mistake: Callable[[str, Path], None],
    refusing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    with pytest.raises(EverfitError) as error:
        mistake(refusing, tmp_path)

    # With all that it was raised from, as a run's page shows it.
    traceback = "".join(format_exception(error.value))
    assert leaks(traceback, *[record.getMessage() for record in caplog.records]) == []


def test_a_spec_tells_of_its_secrets_that_they_are_there() -> None:
    spec = a_spec(kind="http", url="https://example.com/", token=PLANTED["bearer"])
    assert leaks(spec, spec.content(), repr(spec.source), spec.model_dump_json()) == []


def test_the_service_tells_no_token(
    registry: Any,
    serve: Any,
    workspace: Path,
    good: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = workspace.parent / "tokens.txt"
    known, line = new_token("billing")
    stranger, _ = new_token("nobody")
    tokens.write_text(line + "\n")
    monkeypatch.setitem(PLANTED, "token", known)
    monkeypatch.setitem(PLANTED, "stranger", stranger)
    registry.champion("flights", registry.add("flights", "first"))

    running = serve("flights", tokens=tokens)
    answers = [
        running.client.post(
            "/models/flights/predict",
            json={"records": [record]},
            headers={"Authorization": f"{scheme} {token}"},
        )
        for scheme, token in (
            ("Bearer", known),
            ("Bearer", stranger),
            ("Basic", known),
            ("Bearer", f"{known} {stranger}"),
        )
        for record in ({**good, "flight": 1, "departs": "2024-01-01T00:00:00Z"}, {"nonsense": 1})
    ]
    metrics = running.client.get("/metrics", headers={"Authorization": f"Bearer {known}"})
    running.stop()

    assert {answer.status_code for answer in answers} == {200, 401, 422}
    assert metrics.status_code == 200
    heard = [(answer.text, dict(answer.headers)) for answer in [*answers, metrics]]
    # httpx, the client here, has no log of headers.
    logged = [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    assert leaks(workspace.parent, heard, logged, capfd.readouterr()) == []
