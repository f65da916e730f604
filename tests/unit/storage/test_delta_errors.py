"""Errors of Delta's library are one line with their cause."""

import pytest
from deltalake.exceptions import DeltaError

from everfit.tasks.storage.delta_errors import reason_of

_TREE = (
    "Kernel error -> Generic LocalFileSystem error\n          \x1b[31m↳\x1b[0m Unable to open file /a/1.json\n"
    "           \x1b[31m↳\x1b[0m Input/output error (os error 5)\n\nstack backtrace:\n   0: <unknown>"
)


_REASON = (
    "Kernel error -> Generic LocalFileSystem error: Unable to open file /a/1.json: Input/output error (os error 5)"
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            _TREE,
            _REASON,
        ),
        ("one line\nand another", "one line"),
        ("", "DeltaError"),
    ],
)
def test_the_causes_are_told_and_the_backtrace_is_not(text: str, reason: str) -> None:
    assert reason_of(DeltaError(text)) == reason
