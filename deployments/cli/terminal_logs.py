"""Let logs write one line each to the terminal. Tracebacks are for the page of the run, and for `--debug`."""

import copy
import logging

from everfit.deployments.cli.outside_errors import without_statement


class OneLineFormatter(logging.Formatter):
    """Formats as another formatter does, with the error's own words in place of its traceback.

    Args:
        inner: The other formatter.
    """

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, which other handlers still get with its traceback."""
        if record.exc_info and record.exc_info[1] is not None:
            error, record = record.exc_info[1], copy.copy(record)
            record.msg = f"{record.getMessage()}: {type(error).__name__}: {_line(str(error))}"
            record.args, record.exc_info, record.exc_text = None, None, None
        elif "[SQL: " in (text := record.getMessage()):
            record = copy.copy(record)
            record.msg, record.args = _line(text), None
        return self._inner.format(record)


def _line(text: str) -> str:
    return " ".join(without_statement(text).split())


def hide_tracebacks(handler: logging.Handler | None) -> None:
    """Let a handler write no tracebacks from now on."""
    if handler is not None and not isinstance(handler.formatter, OneLineFormatter):
        handler.setFormatter(OneLineFormatter(handler.formatter))


def is_no_thread_warning(record: logging.LogRecord) -> bool:
    """Return False for a warning of scikit-learn that tells nothing about a model, and comes by the thousand.

    Threads of a forest change the process's filters of warnings at once, and may leave none behind. After that,
    each of their calls warns that it was given no filters.
    """
    return "`sklearn.utils.parallel.delayed` should be used with" not in record.getMessage()
