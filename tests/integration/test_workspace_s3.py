"""The workspace on S3: a real SeaweedFS, and nanio, which says yes to every put."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.s3 import Seaweed, nanio, reach
from support.turns import Loop, sales

from everfit.blocks.errors import SourceError, WorkspaceError
from everfit.blocks.settings import Settings
from everfit.tasks.data.commit import commit_batch
from everfit.tasks.data.ingest import ingest, read_file_states
from everfit.tasks.data.validate import validate
from everfit.tasks.sources.arrivals import Announced, new_arrival, source_content
from everfit.tasks.storage.tables import Table
from everfit.tasks.storage.workspace import Workspace, check_store

FEBRUARY, MARCH = datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture
def environment(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reach(store, monkeypatch)


@pytest.mark.usefixtures("environment")
def test_a_store_that_honours_conditional_puts_is_taken(monkeypatch: pytest.MonkeyPatch):
    assert Workspace.of(Settings(workspace="s3://models/checked")).remote

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(WorkspaceError, match=r"can't be used: .*; check the bucket"):
        check_store("s3://models/checked")


def test_a_store_that_ignores_conditional_puts_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with nanio(tmp_path) as endpoint:
        reach(endpoint, monkeypatch)
        with pytest.raises(WorkspaceError, match=r"does not honour conditional puts \(If-None-Match\)"):
            Workspace.of(Settings(workspace="s3://models/careless"))


@pytest.mark.usefixtures("environment")
def test_turns_and_writers_at_once_on_s3(tmp_path: Path):
    loop = Loop(tmp_path)
    loop.workspace = Workspace("s3://models/turns")
    loop.write("a.csv", sales(100))
    loop.turn(FEBRUARY)
    rows = sales(300)
    rows.loc[5, "y"] = 4.5
    loop.write("a.csv", rows)
    failures: list[BaseException] = []

    def run(name: str) -> None:
        try:
            batch = ingest(loop.spec, MARCH, name, loop.workspace)
            commit_batch(loop.spec, batch, validate(loop.spec, batch, loop.workspace), loop.workspace)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f"process-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    assert list(loop.dataset()["id"]) == list(range(300))
    assert loop.dataset()["y"][5] == 4.5


@pytest.mark.usefixtures("environment")
def test_files_of_a_source_on_s3_are_read_once(tmp_path: Path, store: str):
    client = boto3.client("s3")
    for name, first in (("a", 0), ("b", 100)):
        body = sales(100, first=first).to_csv(index=False).encode()
        client.put_object(Bucket="models", Key=f"sales/{name}.csv", Body=body)
    loop = Loop(tmp_path, source={"kind": "files", "path": "s3://models/sales/*.csv"})

    first, _ = loop.turn(FEBRUARY)
    client.put_object(Bucket="models", Key="sales/c.csv", Body=sales(10, first=200).to_csv(index=False).encode())
    reported = new_arrival(
        "sales", source_content(loop.spec, MARCH), Announced(), read_file_states(loop.spec, loop.workspace), MARCH
    )
    second, _ = loop.turn(MARCH)

    assert (first.new, second.read, second.new) == (200, 10, 10)
    assert reported is not None
    assert reported.new == ("models/sales/c.csv",)  # watching lists by boto3 what reading lists by s3fs
    assert (
        new_arrival(
            "sales", source_content(loop.spec, MARCH), Announced(), read_file_states(loop.spec, loop.workspace), MARCH
        )
        is None
    )
    client.close()


def test_a_store_that_is_cut_off_in_mid_write_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = Seaweed()
    store.start()
    reach(store.endpoint, monkeypatch)
    loop = Loop(tmp_path)
    loop.workspace = Workspace("s3://models/cut")
    rows = sales(300)
    loop.write("a.csv", rows.head(100))
    loop.turn(FEBRUARY)
    rows.loc[5, "y"] = 4.5
    rows["price"] = rows["price"].astype(object)
    rows.loc[250, "price"] = "cheap"
    loop.write("a.csv", rows)
    batch = ingest(loop.spec, MARCH, "cut", loop.workspace)
    validation = validate(loop.spec, batch, loop.workspace)

    # The store dies while the first commit is on its way to the dataset: the new rows may be in, the changed ones not.
    appended = Table.append

    def cut_off(table: Table, *arguments: Any, **named: Any) -> int:
        if table.uri.endswith("dataset"):
            threading.Timer(0.02, store.kill).start()
        return appended(table, *arguments, **named)

    with monkeypatch.context() as broken:
        broken.setattr(Table, "append", cut_off)
        broken.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(Exception, match=r".+") as error:
            commit_batch(loop.spec, batch, validation, loop.workspace)
    assert isinstance(error.value, (WorkspaceError, OSError))

    store.start()
    loop.workspace = Workspace("s3://models/cut")
    again = ingest(loop.spec, MARCH, "cut", loop.workspace)
    commit_batch(loop.spec, again, validate(loop.spec, again, loop.workspace), loop.workspace)

    assert again == batch
    assert list(loop.dataset()["id"]) == [number for number in range(300) if number != 250]
    assert loop.dataset()["y"][5] == 4.5
    assert len(loop.quarantine()) == 1
    store.close()


@pytest.mark.usefixtures("prefect_server")
def test_files_are_read_with_the_credentials_of_a_block(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch):
    from prefect_aws import AwsCredentials
    from prefect_aws.client_parameters import AwsClientParameters

    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    block = AwsCredentials(
        aws_access_key_id="everfit",
        aws_secret_access_key="everfit-secret",
        region_name="us-east-1",
        aws_client_parameters=AwsClientParameters(endpoint_url=store),
    )
    block.save("seaweed", overwrite=True)
    client = block.get_s3_client()
    client.put_object(Bucket="models", Key="private/a.csv", Body=sales(100).to_csv(index=False).encode())
    source = {"kind": "files", "path": "s3://models/private/*.csv", "credentials": "seaweed"}

    batch, _ = Loop(tmp_path, source=source).turn(FEBRUARY)

    assert batch.new == 100
    with pytest.raises(SourceError, match="there is no AwsCredentials block 'nowhere'"):
        Loop(tmp_path / "other", source=source | {"credentials": "nowhere"}).turn(FEBRUARY)
    client.close()
