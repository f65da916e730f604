"""Dask on several hosts with networks and folders of their own, where this machine may make them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.hosts import why_not

pytest.importorskip("prefect_dask")


@pytest.mark.long
def test_a_host_cut_off_and_a_worker_killed_change_nothing(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(f"hosts can't be made here: {reason}")
    done = subprocess.run(
        [sys.executable, "-m", "campaign.hosts", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    left = json.loads(done.stdout.splitlines()[-1])
    assert left["dask"] == left["here"]
