"""Which files a source has: folders and globs, files that were read before, hidden names, addresses."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.source_files import ALL, CSV, ROLES, read, written

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import FilesSource
from everfit.tasks.core.records import Window
from everfit.tasks.sources import FileStates, read_source


def test_a_folder_and_a_glob_and_no_file_at_all(tmp_path: Path):
    written(tmp_path, CSV, "1.csv")
    written(tmp_path, CSV.replace("1,", "3,").replace("2,", "4,"), "2.csv")
    written(tmp_path, "not a table", "README.md")

    assert len(read(tmp_path)) == len(read(tmp_path / "*.csv")) == 4
    with pytest.raises(SourceError, match="matches no file"):
        read(tmp_path / "*.parquet")


def test_a_file_is_read_once_and_its_change_is_seen(tmp_path: Path):
    path = written(tmp_path, CSV)
    source, states = FilesSource(path=str(tmp_path)), FileStates()
    assert len(list(read_source(source, ROLES, ALL, states))) == 1
    seen = FileStates(earlier=states.current)
    assert not list(read_source(source, ROLES, ALL, seen))
    path.write_text(CSV + "3,2024-01-03,three,1\n")
    assert len(list(read_source(source, ROLES, ALL, seen))) == 1


def test_a_file_with_rows_yet_to_come_is_read_again(tmp_path: Path):
    written(tmp_path, CSV)
    early, states = Window(until=datetime(2024, 1, 2, tzinfo=UTC)), FileStates()
    source = FilesSource(path=str(tmp_path))
    (piece,) = read_source(source, ROLES, early, states)
    assert len(piece.frame) == 1

    (piece,) = read_source(source, ROLES, ALL, FileStates(earlier=states.current))
    assert len(piece.frame) == 2


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path):
    path = written(tmp_path, CSV)
    pieces = read_source(FilesSource(path=str(path)), ROLES, ALL)
    next(pieces)
    path.write_text(CSV * 2)

    with pytest.raises(SourceError, match="changed while it was read"):
        next(pieces)


@pytest.mark.parametrize("url", ["http://example.com/data.csv", "ftp://example.com/data.csv", "s4://bucket/x.csv"])
def test_an_address_in_the_clear_or_unheard_of_is_refused(url: str):
    with pytest.raises(SourceError, match=r"source.allowed_hosts|use a path, s3:// or https://"):
        list(read_source(FilesSource(path=url), ROLES, ALL))


def test_names_that_begin_with_a_dot_or_an_underscore_are_no_data(tmp_path: Path):
    folder = tmp_path / "shop"
    (folder / "_temporary").mkdir(parents=True)
    for name in ("a.csv", "._a.csv", "_temporary/part.csv", "b.xlsx"):
        (folder / name).write_text("id,at,y\n1,2024-01-05,1\n")
    states = FileStates()

    for path in (folder, folder / "*.csv", folder / "**" / "*.csv"):
        source = FilesSource(path=str(path))
        frames = [chunk.frame for chunk in read_source(source, ROLES, ALL, states)]
        assert [len(frame) for frame in frames] == [1], path
        states = FileStates(unread=states.unread)

    assert [name.rsplit("/", 1)[-1] for name in states.unread] == []
    list(read_source(FilesSource(path=str(folder)), ROLES, ALL, states))
    assert [name.rsplit("/", 1)[-1] for name in states.unread] == ["b.xlsx"]


@pytest.mark.parametrize("name", ["sales [2024]", "sales?", "a*b"])
def test_a_folder_that_exists_is_no_glob(tmp_path: Path, name: str):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "a.csv").write_text("id,at,y\n1,2024-01-05,1\n")

    for path in (folder, folder / "a.csv"):
        (chunk,) = read_source(FilesSource(path=str(path)), ROLES, ALL)
        assert len(chunk.frame) == 1
