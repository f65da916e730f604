"""A short run of each driver; `make campaign` runs them for as long as one likes."""

from pathlib import Path

from campaign.registries import changed_files
from campaign.spools import run_spools
from campaign.tables import run_tables


def test_spools_lose_and_double_nothing(tmp_path: Path) -> None:
    tally = run_spools(tmp_path, seed=2, lives=10)

    assert tally.broken == []
    assert tally.done["kills"] > 0
    assert tally.done["answered predictions"] > 0


def test_no_changed_file_is_loaded(tmp_path: Path) -> None:
    tally = changed_files(tmp_path, seed=1, changes=6)

    assert tally.broken == []
    assert tally.done["changed files"] == 6


def test_odd_tables_are_taken_or_refused_in_one_sentence(tmp_path: Path) -> None:
    tally = run_tables(tmp_path, seed=1, count=4)

    assert tally.broken == []
    assert tally.done["tables"] == 4
