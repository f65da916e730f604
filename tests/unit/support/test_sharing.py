"""Tests that forked processes share are reported as if one had run them, and none is lost where a process dies."""

import io
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection
from pathlib import Path
from textwrap import dedent

import pytest
from support.processes import forked

pytestmark = pytest.mark.slow

TESTS = {
    "conftest.py": 'pytest_plugins = ["support.sharing"]',
    "test_some.py": """
        import os, signal, warnings
        import pytest

        @pytest.fixture(scope="session", autouse=True)
        def ended():
            yield
            open(f"ended-{os.getpid()}", "w").close()

        @pytest.mark.parametrize("number", range(6))
        def test_passes(number, tmp_path):
            (tmp_path / "here").write_text(str(number))
            print("never seen")

        def test_warns():
            warnings.warn("look out")

        def test_fails():
            print("what it printed")
            assert 1 == 2
        """,
    "test_others.py": """
        import os, signal
        import pytest

        def test_dies():
            os.kill(os.getpid(), signal.SIGKILL)

        @pytest.mark.skip(reason="not today")
        def test_is_skipped():
            pass

        @pytest.mark.parametrize("number", range(6))
        def test_passes_too(number):
            assert os.path.basename(os.environ["PREFECT_HOME"]).startswith("process-")

        @pytest.fixture
        def breaks():
            yield
            raise OSError("gone")

        def test_fails_when_it_takes_leave(breaks):
            pass
        """,
}


def _run_pytest(folder: str, words: list[str], said: Connection) -> None:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(out):
        code = pytest.main([folder, "-p", "no:cacheprovider", "-o", "addopts=", *words])
    said.send((int(code), out.getvalue()))
    said.close()


def run(folder: Path, *words: str) -> tuple[int, str]:
    for name, code in TESTS.items():
        (folder / name).write_text(dedent(code))
    (folder / "pytest.ini").write_text("[pytest]\n")
    ours, theirs = forked.Pipe(duplex=False)
    process = forked.Process(target=_run_pytest, args=(str(folder), list(words), theirs))
    process.start()
    theirs.close()
    assert ours.poll(120)
    said: tuple[int, str] = ours.recv()
    process.join(30)
    return said


def test_all_is_run_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    code, said = run(tmp_path, "--processes", "2", "-ra")

    assert code == 1
    assert "14 passed" in said, said
    assert "3 failed" not in said
    assert "2 failed" in said, said
    assert "FAILED test_others.py::test_dies - the process that ran this test ended with -9" in said
    assert "what it printed" in said
    assert "never seen" not in said
    assert "SKIPPED [1] test_others.py:8: not today" in said
    assert "1 error" in said
    assert "UserWarning: look out" in said
    assert list(tmp_path.glob("ended-*"))


def test_the_first_failure_ends_it_when_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    code, said = run(tmp_path, "--processes", "2", "-x")

    assert code == 1, said
    assert "stopping after" in said  # the other process may have been in a test that fails too
    assert "14 passed" not in said
