"""A process that the tests fork has the heavy libraries already: to import them in each costs ten seconds apiece."""

import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from support.processes import PRELOADED, forked

TESTS = Path(__file__).parents[1]


def _report(connection: Connection) -> None:
    connection.send(sorted(sys.modules))
    connection.close()


def test_a_forked_process_begins_with_the_heavy_libraries() -> None:
    ours, theirs = forked.Pipe(duplex=False)
    process = forked.Process(target=_report, args=(theirs,))
    process.start()
    theirs.close()

    assert ours.poll(120)
    assert set(PRELOADED) <= set(ours.recv())
    process.join(30)


def test_one_module_names_what_the_fork_server_imports() -> None:
    """The fork server is one per process, and takes the list that was set last, whoever sets it."""
    setting = [path.name for path in TESTS.rglob("*.py") if "set_forkserver_preload(" in path.read_text()]
    assert sorted(setting) == ["processes.py", Path(__file__).name]


def test_what_a_forked_process_prints_is_part_of_the_output_of_its_test(capfd: pytest.CaptureFixture[str]) -> None:
    process = forked.Process(target=os.write, args=(2, b"said by a forked process"))
    process.start()
    process.join()
    assert (process.exitcode, capfd.readouterr().err) == (0, "said by a forked process")
