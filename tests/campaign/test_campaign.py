"""A short run of each driver; `make campaign` runs them for as long as one likes."""

from pathlib import Path

import pytest
from support.examples import examples

from campaign import malformed_requests, schedules, spool_schedules
from campaign.disks import run_disks
from campaign.failing_disk import KILL, compiler
from campaign.failing_spools import run_failing_spools
from campaign.labels import run_labels
from campaign.power import run_power
from campaign.power_commands import run_power_commands
from campaign.registries import changed_files
from campaign.releases import run_releases
from campaign.requests import run_requests
from campaign.schedules import run_schedules
from campaign.servers import run_servers
from campaign.spool_schedules import run_spool_schedules
from campaign.spools import run_spools
from campaign.tables import run_tables


def test_spools_lose_and_double_nothing(tmp_path: Path) -> None:
    tally = run_spools(tmp_path, seed=2, lives=10)

    assert tally.broken == []
    assert tally.done["kills"] > 0
    assert tally.done["answered predictions"] > 0


def test_answered_labels_are_recorded_once_and_in_their_order(tmp_path: Path) -> None:
    tally = run_labels(tmp_path, seed=1, lives=6)

    assert tally.broken == []
    assert tally.done["kills"] > 0
    assert tally.done["answered labels"] > 0


# Failed flushes of a commit, and of a table's first one; a cut that left a first commit without its content.
@pytest.mark.parametrize("seed", [0, 3, 7])
def test_a_power_cut_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    tally = run_power(tmp_path, seed, cuts=7)

    assert tally.broken == []
    assert tally.done["power cuts"] == 7
    assert tally.done["failed flushes"] > 0


@pytest.mark.long
def test_a_turn_that_a_power_cut_ends_is_run_again(tmp_path: Path) -> None:
    tally = run_power_commands(tmp_path, seed=1, cuts=1, only="first turn")

    assert tally.broken == []
    assert tally.done["power cuts"] == 1


@pytest.mark.long
def test_a_power_cut_in_any_command_leaves_what_the_next_run_completes(tmp_path: Path) -> None:
    tally = run_power_commands(tmp_path, seed=2, cuts=15)

    assert tally.broken == []
    assert tally.done["power cuts"] > 10


def test_killed_releases_and_rollbacks_leave_one_champion_that_all_agree_on(tmp_path: Path) -> None:
    tally = run_releases(tmp_path, seed=1, lives=8)

    assert tally.broken == []
    assert tally.done["kills"] > 0


def test_malformed_requests_and_endless_clients_leave_the_service_well(tmp_path: Path) -> None:
    tally = run_requests(tmp_path, seed=1, requests=60)

    assert tally.broken == []
    assert (tally.done["bad requests"], tally.done["endless clients"], tally.done["slow clients"]) == (
        60 + len(malformed_requests.FOUND),
        4,
        4,
    )
    assert tally.done["answered predictions"] > 0


def test_interleaved_processes_leave_one_champion_that_all_agree_on(tmp_path: Path) -> None:
    tally = run_schedules(tmp_path, [*schedules.FOUND, *range(30)])

    assert tally.broken == []
    assert min(tally.done[name] for name in ("kills", "stalls", "set clocks", "lost answers")) > 0


def test_interleaved_services_and_copies_of_their_folders_lose_and_double_nothing(tmp_path: Path) -> None:
    tally = run_spool_schedules(tmp_path, [*spool_schedules.FOUND, *range(12)])

    assert tally.broken == []
    assert min(tally.done[name] for name in ("answered predictions", "kills", "stalls", "failed operations")) > 0


needs_compiler = pytest.mark.skipif(compiler() is None, reason="a C compiler makes the library that lets a disk fail")


@needs_compiler
def test_spools_on_a_failing_disk_lose_and_double_nothing(tmp_path: Path) -> None:
    tally = run_failing_spools(tmp_path, seed=2, faults=25)

    assert tally.broken == []
    assert min(tally.done[name] for name in ("answered predictions", "refused predictions")) > 0
    assert sum(count for name, count in tally.done.items() if name.endswith("of a spool")) > 5


@needs_compiler
@pytest.mark.long
def test_commands_on_a_failing_disk_say_so_and_work_once_it_is_over(tmp_path: Path) -> None:
    tally = run_disks(tmp_path, seed=1, faults=20)

    assert tally.broken == []
    assert sum(count for name, count in tally.done.items() if name.endswith("faults")) > 10


@needs_compiler
@pytest.mark.long
def test_killed_commands_lose_nothing_and_end_well_when_they_are_run_again(tmp_path: Path) -> None:
    tally = run_disks(tmp_path, seed=1, faults=10, kinds=[KILL])

    assert tally.broken == []
    assert tally.done["kills"] > 5


@pytest.mark.long
def test_servers_that_are_cut_off_and_back_leave_what_peace_leaves(tmp_path: Path) -> None:
    tally = run_servers(tmp_path, seed=1, lives=3)

    assert tally.broken == []
    assert sum(count for name, count in tally.done.items() if name.startswith("cuts of")) > 5


def test_no_changed_file_is_loaded(tmp_path: Path) -> None:
    tally = changed_files(tmp_path, seed=1, changes=6)

    assert tally.broken == []
    assert tally.done["changed files"] == 6


def test_odd_tables_are_taken_or_refused_in_one_sentence(tmp_path: Path) -> None:
    count = examples(4)
    tally = run_tables(tmp_path, seed=1, count=count)

    assert tally.broken == []
    assert tally.done["tables"] == count
