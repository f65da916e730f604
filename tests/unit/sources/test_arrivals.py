"""What has come to a source is told once, whatever kind of source it is."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from deltalake import write_deltalake

from everfit.blocks.errors import SourceError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.sources import FileState
from everfit.tasks.sources.arrivals import Announced, Arrival, new_arrival, source_content

NOW = datetime(2024, 3, 1, tzinfo=UTC)


def spec(source: dict[str, Any], **columns: str) -> ModelSpec:
    roles = {"key": ["id"], "event_time": "at", "target": "y", **columns}
    return ModelSpec.model_validate({"name": "sales", "task": "binary", "source": source, "columns": roles})


def tell(found: dict[str, str], told: Announced | None = None, **accepted: FileState) -> Arrival | None:
    return new_arrival("sales", found, told or Announced(), accepted, NOW)


def test_a_file_is_told_once_again_when_it_changed_and_not_if_a_turn_has_taken_it(tmp_path: Path) -> None:
    model = spec({"kind": "files", "path": f"{tmp_path}/*.csv"})
    assert source_content(model, NOW) == {}
    (tmp_path / "a.csv").write_text("id,at,y\n1,2024-01-01,1\n")
    (tmp_path / "notes.md").write_text("not data")
    content = source_content(model, NOW)
    first = tell(content)
    assert first is not None
    assert first.new == (str(tmp_path / "a.csv"),)
    assert tell(content, Announced(content=content)) is None
    taken = FileState(identity=content[str(tmp_path / "a.csv")], newest=None, read_until=NOW)
    assert tell(content, **{str(tmp_path / "a.csv"): taken}) is None
    (tmp_path / "a.csv").write_text("id,at,y\n1,2024-01-01,1\n2,2024-01-02,0\n")
    again = tell(source_content(model, NOW), Announced(content=content))
    assert again is not None
    assert again.id != first.id
    assert tell(content) == first  # the same content, told again, is the same arrival


@pytest.mark.parametrize("asked", [{"table": "sales"}, {"query": "SELECT * FROM sales WHERE at < :until"}])
def test_a_table_has_news_when_newer_rows_or_labels_have_come(tmp_path: Path, asked: dict[str, str]) -> None:
    url = f"sqlite:///{tmp_path / 'sales.db'}"
    engine = sa.create_engine(url)
    rows = pd.DataFrame({"id": [1, 2], "at": pd.to_datetime(["2024-01-01", "2024-01-02"]), "known": None, "y": [1, 0]})
    rows.to_sql("sales", engine, index=False)
    model = spec({"kind": "sql", "url": url, **asked}, label_time="known")
    first = source_content(model, NOW)
    assert source_content(model, NOW) == first
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE sales SET known = '2024-01-03' WHERE id = 1"))
    second = source_content(model, NOW)
    assert second != first
    rows.assign(id=3, at=pd.Timestamp("2024-01-05")).head(1).to_sql("sales", engine, index=False, if_exists="append")
    assert source_content(model, NOW) not in (first, second)
    engine.dispose()


def test_a_delta_table_has_news_with_each_version(tmp_path: Path) -> None:
    path = str(tmp_path / "sales")
    write_deltalake(path, pd.DataFrame({"id": [1], "y": [1]}))
    model = spec({"kind": "delta", "path": path})
    assert source_content(model, NOW) == {path: "0"}
    write_deltalake(path, pd.DataFrame({"id": [2], "y": [1]}), mode="append")
    assert source_content(model, NOW) == {path: "1"}


def test_what_tells_nothing_without_being_read_says_what_to_do_instead() -> None:
    with pytest.raises(SourceError, match="everfit emit data-arrived sales"):
        source_content(spec({"kind": "python", "function": "shop.data:rows"}), NOW)
    with pytest.raises(SourceError, match="without downloading it"):
        source_content(spec({"kind": "files", "path": "https://example.com/sales.csv"}), NOW)
