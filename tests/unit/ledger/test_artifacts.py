"""The files of a version are recorded once, and files that differ are refused and put on record."""

from datetime import UTC, datetime

import pytest

from everfit.blocks.errors import ArtifactError, LedgerError
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.ledger import Ledger

MARCH = datetime(2013, 3, 1, tzinfo=UTC)
FILES = {"model/model.skops": "a" * 64, "reference/outliers.json": "b" * 64, "reference/sample.parquet": "c" * 64}
SERVED = {name: FILES[name] for name in ("model/model.skops", "reference/outliers.json")}


def version(run_id: str = "run") -> ModelVersion:
    return ModelVersion(model="flights", version=1, run_id=run_id, trained_until=MARCH)


def test_files_are_recorded_once_and_never_replaced(ledger: Ledger) -> None:
    first = ledger.artifacts.record(version(), FILES, actor="everfit", reason="registered")

    assert ledger.artifacts.record(version(), FILES, actor="ann", reason="again") == first
    with pytest.raises(LedgerError, match=r"model/model\.skops"):
        ledger.artifacts.record(version(), {**FILES, "model/model.skops": "d" * 64}, actor="eve", reason="mine")
    assert ledger.artifacts.find(version()) == first


def test_a_version_that_reuses_a_number_has_no_record(ledger: Ledger) -> None:
    ledger.artifacts.record(version(), FILES, actor="everfit", reason="registered")

    assert ledger.artifacts.find(version("another")) is None
    assert ledger.artifacts.check(version("another"), {"model/model.skops": "d" * 64}) is None


def test_files_as_recorded_pass(ledger: Ledger) -> None:
    ledger.artifacts.record(version(), FILES, actor="everfit", reason="registered")

    assert ledger.artifacts.check(version(), SERVED) is not None
    ledger.artifacts.check_some(version(), {"reference/sample.parquet": "c" * 64})
    assert ledger.decisions.of("flights", kind="artifacts") == []


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({**SERVED, "model/model.skops": "d" * 64}, r"'model/model\.skops' has SHA-256 dddddddddddd…"),
        ({"model/model.skops": "a" * 64}, r"'reference/outliers\.json' is missing"),
        ({**SERVED, "converted/model.onnx": "e" * 64}, r"'converted/model\.onnx' was added"),
    ],
    ids=["changed", "missing", "added"],
)
def test_files_that_differ_are_refused_and_on_record(ledger: Ledger, found: dict[str, str], says: str) -> None:
    ledger.artifacts.record(version(), FILES, actor="everfit", reason="registered")

    for _ in range(2):  # the same refusal is one incident
        with pytest.raises(ArtifactError, match=says):
            ledger.artifacts.check(version(), found)
    (incident,) = ledger.decisions.of("flights", kind="artifacts")
    assert incident.verdict == "refused"
    assert "version 1 of 'flights'" in incident.reasons[0]


def test_a_reference_file_that_was_never_recorded_is_refused(ledger: Ledger) -> None:
    ledger.artifacts.record(version(), FILES, actor="everfit", reason="registered")

    with pytest.raises(ArtifactError, match=r"'reference/classes\.json' was added"):
        ledger.artifacts.check_some(version(), {"reference/classes.json": "d" * 64})


def test_a_change_on_purpose_is_a_new_record_beside_the_first(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="not recorded"):
        ledger.artifacts.amend(version(), {}, actor="ann", reason="a request")
    ledger.artifacts.record(version(), FILES, actor="everfit", reason="registered")
    ledger.artifacts.amend(version(), {"reference/sample.parquet": "d" * 64}, actor="ann", reason="a request")

    ledger.artifacts.check_some(version(), {"reference/sample.parquet": "d" * 64})
    assert [(entry.seq, entry.actor) for entry in ledger.artifacts.history(version())] == [(1, "everfit"), (2, "ann")]
    assert ledger.artifacts.check(version(), SERVED) is not None
