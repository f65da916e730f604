"""`everfit verify` finds what was changed beside everfit: a row, a file of a version, the alias, a table, the log."""

import functools
import json
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.processes import everfit

from everfit.blocks.errors import ArtifactError
from everfit.blocks.settings import Settings
from everfit.flows.scoring_flow import scoring
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.models.signatures import new_key
from everfit.tasks.registry import model_files, model_registry
from everfit.tasks.registry.artifact_records import ANCHOR_TAG, DIGEST_TAG
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.model_check import check_model, record_tables

pytestmark = pytest.mark.usefixtures("prefect_server")

PLACE = Path(".everfit")


@pytest.fixture
def here(released: str) -> Context:
    scoring(released, until=datetime(2024, 4, 1, tzinfo=UTC))
    return Context(load_spec(released), Settings())


def found(here: Context, noted: str = "") -> list[str]:
    return [f"{problem.area}: {problem.problem}" for problem in check_model(here, noted).problems]


def ledger(statement: str) -> None:
    with sqlite3.connect(PLACE / "ledger.db") as connection:
        connection.execute(statement)
    connection.close()


def a_file(table: str) -> Path:
    return min((PLACE / "deliveries" / table).glob("_day=*/*.parquet"))


def test_what_was_changed_is_found_one_by_one(here: Context, tmp_path: Path) -> None:
    checked = check_model(here)
    assert checked.problems == ()
    assert checked.chain.links > 5
    anchor = here.mlflow.get_model_version("deliveries", "1").tags[ANCHOR_TAG]
    assert int(anchor.partition(":")[0]) <= checked.chain.links
    record_tables(here, by="ann", reason="as they are")
    noted = check_model(here).chain.head

    def tampered(change: Callable[[], object], undo: Callable[[], object], *says: str) -> None:
        change()
        problems = found(here, noted)
        undo()
        assert len(problems) == len(says), problems
        for problem, part in zip(problems, says, strict=True):
            assert part in problem

    safe = shutil.copy(PLACE / "ledger.db", tmp_path)

    def restore() -> None:
        for file in (PLACE / "ledger.db-wal", PLACE / "ledger.db-shm"):
            file.unlink(missing_ok=True)
        shutil.copy(safe, PLACE / "ledger.db")

    tampered(
        lambda: ledger("UPDATE releases SET actor = 'eve'"),
        restore,
        "ledger: release '1' was changed after link",
    )
    tampered(
        lambda: ledger("DELETE FROM chain WHERE seq = (SELECT max(seq) FROM chain)"),
        restore,
        "has no link in the chain",
        "is not the one that the note names",
    )
    tampered(
        lambda: here.mlflow.delete_registered_model_alias("deliveries", "champion"),
        lambda: here.mlflow.set_registered_model_alias("deliveries", "champion", "1"),
        "registry: release 1 made version 1 the champion, and no version has the champion alias; `everfit reconcile",
    )
    for table in ("dataset", "predictions"):
        file = a_file(table)
        genuine = file.read_bytes()
        changed = bytearray(genuine)
        changed[genuine.rindex(pq.read_metadata(file).created_by.encode())] ^= 1  # so that it can still be read
        back = functools.partial(file.write_bytes, genuine)
        tampered(file.unlink, back, f"tables: {str(file.resolve())!r} is missing")
        tampered(functools.partial(file.write_bytes, genuine[:-9]), back, "bytes, and")
        tampered(functools.partial(file.write_bytes, changed), back, "has another content than was recorded")
    skops = next(PLACE.rglob("model.skops"))
    genuine = skops.read_bytes()
    tampered(
        lambda: skops.write_bytes(genuine + b"0"),
        lambda: skops.write_bytes(genuine),
        "versions: the files of version 1 of 'deliveries'",
    )
    registered = here.mlflow.get_model_version("deliveries", "1").tags[DIGEST_TAG]
    tampered(
        lambda: here.mlflow.set_model_version_tag("deliveries", "1", DIGEST_TAG, "sha256:0"),
        lambda: here.mlflow.set_model_version_tag("deliveries", "1", DIGEST_TAG, registered),
        "versions: the tag of version 1 is 'sha256:0', and 'sha256:",
    )
    (copy,) = (PLACE / "deliveries" / "versions").glob("1-*.json")
    genuine = copy.read_bytes()
    back = functools.partial(copy.write_bytes, genuine)
    tampered(functools.partial(copy.write_bytes, genuine[:-9]), back, f"{copy.name}")
    log = here.workspace.table("deliveries", "predictions")
    rows = log.dataset().to_table().slice(0, 3)
    tampered(
        lambda: log.append(rows, "again"), lambda: None, "prediction log: 3 predictions are in the prediction log more"
    )


def test_a_row_that_somebody_changed_by_delta_is_found(here: Context) -> None:
    dataset = here.workspace.table("deliveries", "dataset")
    dataset.open().update({"distance": "distance + 1"}, predicate="distance > 0")

    commit, content = found(here)
    assert "(UPDATE at " in commit
    assert "was not made by everfit" in commit
    assert "have another content than was ingested" in content


def test_a_version_that_is_gone_from_the_registry_is_found(here: Context) -> None:
    second = model_registry.model_version(here.mlflow, "deliveries", 1).model_copy(update={"version": 2})
    here.ledger.artifacts.record(second, {"model/a": "0"}, actor="test", reason="registered")

    assert found(here) == ["registry: version 2 was registered, and the registry does not have it any more"]


def test_the_command_says_it_and_exits_with_1(here: Context) -> None:
    ledger("UPDATE decisions SET verdict = 'keep' WHERE kind = 'gate'")

    ((code, out, _), (_, text, _)) = everfit(["verify", "deliveries.yaml", "--json"], ["verify", "deliveries.yaml"])

    answer = json.loads(out)
    assert code == 1
    assert [problem["area"] for problem in answer["problems"]] == ["ledger"]
    assert "1 thing didn't fit" in text


def test_where_signers_are_named_only_what_they_have_signed_is_loaded(
    here: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = model_registry.model_version(here.mlflow, "deliveries", 1)
    signers, record = (
        tmp_path / "signers.txt",
        ["verify", "deliveries.yaml", "--record", "--by", "ann", "--reason", "x"],
    )
    signers.write_text(f"{new_key(tmp_path / 'key.pem')} ann\n")
    monkeypatch.setenv("EVERFIT_SIGNERS", str(signers))

    with pytest.raises(ArtifactError, match="version 1 of 'deliveries' is not loaded: it has no signature"):
        model_files.load(here.mlflow, here.ledger, version)
    assert found(here) == [
        "ledger: release 1, the present one, is not signed",
        "versions: version 1 is not signed as it must be: it has no signature",
    ]

    monkeypatch.setenv("EVERFIT_SIGNING_KEY", str(tmp_path / "key.pem"))
    ((code, out, _),) = everfit(record, EVERFIT_SIGNERS=str(signers), EVERFIT_SIGNING_KEY=str(tmp_path / "key.pem"))
    assert (code, out.startswith("Recorded version 1")) == (0, True)
    model_files.load(here.mlflow, here.ledger, version)
    assert found(here) == []

    # The spec may ask for another signer, in place of the file or beside it.
    monkeypatch.delenv("EVERFIT_SIGNERS")
    other = f"{new_key(tmp_path / 'other.pem')} bob"
    release = here.spec.release.model_copy(update={"signers": (other,)})
    strict = Context(here.spec.model_copy(update={"release": release}), here.settings)
    with pytest.raises(ArtifactError, match=r"which is not among the signers of release\.signers in the spec"):
        model_files.load(strict.mlflow, strict.ledger, version)
    assert len(found(strict)) == 2
    model_files.load(here.mlflow, here.ledger, version)
    monkeypatch.setenv("EVERFIT_SIGNERS", str(signers))

    # A version with other files, which somebody with access to MLflow gives the same signature.
    skops = next(PLACE.rglob("model.skops"))
    skops.write_bytes(skops.read_bytes() + b"0")
    with pytest.raises(ArtifactError, match="the signature of 'ann' is of something else"):
        model_files.load(here.mlflow, here.ledger, version)
