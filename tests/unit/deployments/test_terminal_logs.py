"""Logs on the terminal are one line each, and other handlers still get the traceback."""

import io
import logging

import pytest

from everfit.deployments.cli.terminal_logs import hide_tracebacks, is_no_thread_warning


def test_a_traceback_is_told_in_one_line_to_people_and_whole_to_others() -> None:
    terminal, page = io.StringIO(), io.StringIO()
    handlers = [logging.StreamHandler(terminal), logging.StreamHandler(page)]
    handlers[0].setFormatter(logging.Formatter("%(levelname)s  %(message)s"))
    hide_tracebacks(handlers[0])
    hide_tracebacks(handlers[0])
    logger = logging.getLogger("a.logger.of.this.test")
    logger.propagate = False
    for handler in handlers:
        logger.addHandler(handler)

    statement = "[SQL: SELECT 1] (Background on this error at: https://sqlalche.me/e/1)"
    try:
        raise OSError(30, f"Read-only\nfile system {statement}")
    except OSError:
        logger.exception("the page of %r could not be written", "sales")
    logger.warning("a card was not written: %s", f"Read-only file system {statement}")
    logger.warning("no error")

    assert terminal.getvalue().splitlines() == [
        "ERROR  the page of 'sales' could not be written: OSError: [Errno 30] Read-only file system",
        "WARNING  a card was not written: Read-only file system",
        "WARNING  no error",
    ]
    assert "Traceback" in page.getvalue()


def test_a_warning_about_threads_of_a_forest_is_left_out() -> None:
    from sklearn.utils.parallel import delayed

    called, values, _ = delayed(abs)(-1)
    with pytest.warns(UserWarning, match="should be used with") as caught:
        assert called(*values) == 1  # as where the process has no filters of warnings any more

    said = [logging.makeLogRecord({"msg": str(one.message)}) for one in caught]
    assert [is_no_thread_warning(record) for record in said] == [False]
    assert is_no_thread_warning(logging.makeLogRecord({"msg": "something else"}))
