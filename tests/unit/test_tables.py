"""The tables by themselves."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from everfit.tasks.data.tables import DAY, KEY, Table

READ_A_LITTLE = """
import sys
from everfit.tasks.data.tables import Table
for number, _ in enumerate(Table(sys.argv[1]).batches()):
    if number == 5:
        break
"""


def test_a_process_that_ends_while_a_table_is_read_ends_in_peace(tmp_path: Path):
    at = pd.date_range("2024-01-01", periods=6_000, freq="h", tz="UTC")
    rows = pd.DataFrame({KEY: np.arange(len(at)), "at": at, DAY: at.date, "x": np.zeros(len(at))})
    Table(str(tmp_path / "table")).append(rows, "one")

    done = subprocess.run(
        [sys.executable, "-c", READ_A_LITTLE, str(tmp_path / "table")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
