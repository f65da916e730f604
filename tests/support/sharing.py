"""Tests shared by processes that are forked from one, which has collected them and imported all that is heavy.

As processes of their own they would each take half a minute of processor time for that.
"""

import atexit
import contextlib
import gc
import os
import sys
import traceback
import warnings
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from tempfile import mkdtemp
from typing import Any, NoReturn

import pytest
from support.schedule import Schedule


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the caller say how many processes there are."""
    parser.addoption("--processes", type=int, default=1, help="share the tests between so many forked processes")


def pytest_collection(session: pytest.Session) -> None:
    """Import what is heavy once for all processes, while the standard streams are those that a command has."""
    if _shares(session.config):
        from support.processes import preload

        capture: Any = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            preload()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run all tests in the processes, and report here what happens in them."""
    if not _shares(session.config) or session.testsfailed or len(session.items) < 2:
        return None
    _Parent(session, session.config.getoption("--processes")).run()
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
    return True


def _shares(config: pytest.Config) -> bool:
    return config.getoption("--processes") > 1 and not config.option.collectonly and not config.option.usepdb


@dataclass
class _Child:
    pid: int
    connection: Connection
    has: int | None = None
    """The test that was handed to it last, by its number."""
    running: dict[str, Any] | None = None
    """The test that it runs, by its `nodeid` and `location`."""


@dataclass
class _Parent:
    """Hands the tests out and passes on what the processes say of them."""

    session: pytest.Session
    processes: int
    children: list[_Child] = field(default_factory=list)

    def run(self) -> None:
        items = self.session.items
        self.schedule = Schedule([str(item.path) for item in items])
        terminal: Any = self.session.config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None:
            terminal.showfspath = False  # the tests of several files end by turns
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            for number in range(min(self.processes, len(items))):
                self._fork(number)
            while self.children:
                ready = wait([child.connection for child in self.children], timeout=1)
                for child in list(self.children):
                    if child.connection in ready or _has_ended(child):
                        self._hear(child)
        finally:
            for child in self.children:
                child.connection.close()  # it ends when it notices
            for child in self.children:
                os.waitpid(child.pid, 0)

    def _fork(self, number: int) -> None:
        ours, theirs = Pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Threads of allocators don't live on in a process, and are not missed.
            pid = os.fork()
        if pid == 0:
            ours.close()
            for other in self.children:
                other.connection.close()
            _Worker(self.session, theirs, number).run()
        theirs.close()
        self.children.append(_Child(pid, ours))

    def _hear(self, child: _Child) -> None:
        try:
            what, *given = child.connection.recv() if child.connection.poll() else ("ended",)
        except (EOFError, OSError):
            what, given = "ended", []
        hook = self.session.config.hook
        match what:
            case "next":
                child.has = None if self._is_over() else self.schedule.next(child.pid)
                with contextlib.suppress(OSError):
                    child.connection.send(child.has)
            case "start":
                child.running, child.has = given[0], None
                hook.pytest_runtest_logstart(**given[0])
            case "report":
                report = hook.pytest_report_from_serializable(config=self.session.config, data=given[0])
                hook.pytest_runtest_logreport(report=report)
            case "finish":
                child.running = None
                hook.pytest_runtest_logfinish(**given[0])
            case "warning":
                hook.pytest_warning_recorded.call_historic(kwargs=given[0])
            case "error":
                raise RuntimeError(f"a test process failed:\n{given[0]}")
            case "ended":
                self._bury(child)

    def _bury(self, child: _Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        child.connection.close()
        self.children.remove(child)
        if status == 0:
            return
        said = f"the process that ran this test ended with {os.waitstatus_to_exitcode(status)}"
        if child.running is None:
            raise RuntimeError(f"between two tests: {said}")
        nodeid, location = child.running["nodeid"], child.running["location"]
        report = pytest.TestReport(nodeid, location, {}, "failed", said, "call")
        self.session.config.hook.pytest_runtest_logreport(report=report)
        if not self._is_over():
            self.schedule.abandon(child.pid, child.has)
            self._fork(child.pid)

    def _is_over(self) -> bool:
        return bool(self.session.shouldfail or self.session.shouldstop)


def _has_ended(child: _Child) -> bool:
    """Return whether a process is gone and has nothing more to say, though one that it started holds its connection."""
    ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return ended is not None and not child.connection.poll()


class _Worker:
    """One of the processes; a plugin that sends what its tests report."""

    def __init__(self, session: pytest.Session, connection: Connection, number: int) -> None:
        self.session = session
        self.connection = connection
        self.number = number

    def run(self) -> NoReturn:
        """Run the tests that are handed out, and end."""
        code = 1
        try:
            self._settle_in()
            following = _Following(self)
            while item := following.item:
                following = _Following(self)
                self.session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            code = 0
        except BaseException:  # noqa: BLE001 - the parent reports it
            with contextlib.suppress(OSError):
                self.connection.send(("error", traceback.format_exc()))
        finally:
            with contextlib.suppress(BaseException):
                self.session._setupstate.teardown_exact(None)  # after an interruption, what still runs
                atexit._run_exitfuncs()
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def next(self) -> pytest.Item | None:
        """Ask for a test."""
        self.connection.send(("next",))
        number: int | None = self.connection.recv()
        return None if number is None else self.session.items[number]

    def _settle_in(self) -> None:
        """Be a process of its own: with its streams, folders and settings."""
        from prefect.context import refresh_global_settings_context

        manager = self.session.config.pluginmanager
        for name in ("terminalreporter", "lfplugin", "nfplugin", "stepwiseplugin", "junitxml"):
            if (plugin := manager.getplugin(name)) is not None:
                manager.unregister(plugin)
        manager.register(self, "sharing-worker")
        capture: Any = manager.getplugin("capturemanager")
        capture.stop_global_capturing()
        capture.start_global_capturing()
        factory: Any = self.session.config._tmp_path_factory  # type: ignore[attr-defined]
        factory._basetemp = factory.getbasetemp() / f"process-{self.number}"
        factory._basetemp.mkdir()
        os.environ["PREFECT_HOME"] = mkdtemp(prefix="process-", dir=os.environ["PREFECT_HOME"])
        refresh_global_settings_context()
        gc.enable()

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Send that a test begins."""
        self.connection.send(("start", {"nodeid": nodeid, "location": location}))

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Send that a test has ended."""
        self.connection.send(("finish", {"nodeid": nodeid, "location": location}))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send what a test reports."""
        config = self.session.config
        self.connection.send(("report", config.hook.pytest_report_to_serializable(config=config, report=report)))

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: tuple[str, int, str] | None
    ) -> None:
        """Send a warning, as text."""
        said = warnings.WarningMessage(
            str(warning_message.message), UserWarning, warning_message.filename, warning_message.lineno
        )
        self.connection.send(
            ("warning", {"warning_message": said, "when": when, "nodeid": nodeid, "location": location})
        )


class _Following:
    """The test after the running one, which is asked for as late as possible: when the running one takes leave."""

    def __init__(self, worker: _Worker) -> None:
        self._worker = worker
        self._asked = False

    @property
    def item(self) -> pytest.Item | None:
        if not self._asked:
            self._asked, self._item = True, self._worker.next()
        return self._item

    def __bool__(self) -> bool:
        return self.item is not None

    def listchain(self) -> list[pytest.Item | pytest.Collector]:
        return self.item.listchain() if self.item is not None else []
