"""No two modules import each other, whatever is between them: a reader can begin at the bottom."""

import os
import subprocess
import sys
from pathlib import Path

from support.import_cycles import first_cycle

ROOT = Path(__file__).parents[2]


def test_no_modules_import_each_other_in_a_circle() -> None:
    """In a process of its own, since an installed everfit hides its folders behind a mapping."""
    found = subprocess.run(
        [sys.executable, "-m", "support.import_cycles"],
        env=os.environ | {"PYTHONPATH": f"{ROOT}/build/types:{ROOT}/tests"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_a_circle_is_found() -> None:
    assert set(first_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}
