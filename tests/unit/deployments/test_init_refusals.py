"""What `everfit init` refuses in one clear error: no spec is made or written over."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.init_tables import loans, made

from everfit.blocks.errors import SourceError, SpecError
from everfit.deployments.init.init import init
from everfit.tasks.core.spec_loading import load_spec


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        ("default", {"event_time": "age"}, "--event-time 'age' has no times"),
        ("default", {"key": ("nobody",)}, "--key 'nobody' is not a column"),
        ("always", {}, "--target 'always' has only the value 'x'"),
        ("nothing", {}, "--target 'nothing' is empty"),
    ],
)
def test_what_can_not_be_is_one_clear_error(target: str, options: dict[str, Any], words: str):
    with pytest.raises(SpecError, match=words):
        made(loans(), target, **options)


def test_rows_of_which_none_has_both_a_label_and_a_time_are_one_clear_error(folder: Path):
    (folder / "rows.csv").write_text("id,at,x,y\n1,,5,0\n2,,6,1\n3,2024-01-01,7,\n4,2024-01-02,8,\n")
    with pytest.raises(SpecError, match="no row with a value of 'y' has a time in 'at'"):
        init("rows.csv", "y", key=("id",), event_time="at")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            "postgresql://me:hidden@127.0.0.1/db#sales",
            "put the address into an environment variable.*env:SALES_URL#sales",
        ),
        ("sqlite:///sales.db", "has no table; add one at the end"),
        ("ftp://127.0.0.1/rows.csv", "'ftp' is not supported"),
        ("https://me:hidden@127.0.0.1/rows.csv", "the address contains a login"),
    ],
)
def test_an_address_that_can_not_be_read_is_one_clear_error(data: str, words: str):
    with pytest.raises(SourceError, match=words) as told:
        init(data, "y")

    assert "hidden" not in str(told.value)


def test_a_spec_that_is_there_is_not_written_over():
    loans().to_csv("data.csv", index=False)
    Path("data.yaml").write_text("mine")

    with pytest.raises(SpecError, match=r"'data.yaml' exists already"):
        init("data.csv", "default")
    assert Path("data.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"columns": {"entity": "y", "target": "y"}}, "entity: 'y' is a time or the target"),
        ({"columns": {"entity": "at", "event_time": "at", "target": "y"}}, "entity: 'at' is a time or the target"),
        ({"gate": {"resample": "rows"}}, "gate.resample: under 'rows' the rows of one 'customer'"),
    ],
)
def test_an_entity_that_can_not_be_one_is_refused_in_a_sentence(change: dict[str, Any], words: str):
    spec = {"name": "m", "task": "binary", "source": {"path": "x.csv"}}
    spec["columns"] = {"event_time": "at", "target": "y", "entity": "customer", "ignore": ["customer"]}
    Path("m.yaml").write_text(yaml.safe_dump(spec))
    assert load_spec("m.yaml").columns.entity == "customer"
    Path("m.yaml").write_text(yaml.safe_dump(spec | change))
    with pytest.raises(SpecError) as refused:
        load_spec("m.yaml")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
