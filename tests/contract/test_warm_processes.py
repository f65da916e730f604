"""A process that the tests fork has the heavy libraries already: to import them in each costs ten seconds apiece."""

import sys
from multiprocessing.connection import Connection
from pathlib import Path

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
