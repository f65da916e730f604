"""Tell people in one line what an error of Delta's native library says."""

import re

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_CAUSE = "↳"


def reason_of(error: BaseException) -> str:
    """Return the first line of an error with its causes, which the library draws as a tree below it.

    Args:
        error: The error. Backtraces in its text are left out.
    """
    lines = _COLOR.sub("", str(error)).splitlines() or [type(error).__name__]
    parts = [lines[0].strip()]
    for line in lines[1:]:
        if not line.strip().startswith(_CAUSE):
            break
        parts.append(line.strip().removeprefix(_CAUSE).strip())
    return ": ".join(part for part in parts if part)
