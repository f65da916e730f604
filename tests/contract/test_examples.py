"""The examples run where everfit is installed from its wheel, one after the other in a folder of their own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from everfit.tasks.triage.verdicts import Verdict

FILES = (
    "deliveries", "ingest_and_validate", "own_training", "nightly_scoring", "own_monitoring", "own_notifier",
    "training_as_subflow",
)  # fmt: skip
"""In an order in which each finds what it needs."""

RUN = """
import os, runpy, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))  # as `python FILE` does
for path in sys.argv[1:]:
    print("==", path, flush=True)
    runpy.run_path(path, run_name="__main__")
import everfit
print("everfit is", everfit.__file__)
"""


@pytest.mark.usefixtures("prefect_server")
def test_each_example_runs_from_the_wheel(root: Path, installed: Path, tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL

    server = PREFECT_API_URL.value()
    assert server is not None
    paths = [root / "examples" / f"{name}.py" for name in FILES]
    environment = os.environ | {"PYTHONPATH": str(installed), "PREFECT_API_URL": server}
    environment.pop("EVERFIT_WORKSPACE", None)

    done = subprocess.run(
        [sys.executable, "-c", RUN, *paths], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert f"everfit is {installed}" in done.stdout
    said = dict(re.findall(r"^== \S*/(\w+)\.py\n((?:(?!== ).*\n)*)", done.stdout, flags=re.MULTILINE))
    assert said["ingest_and_validate"] == "Ingested\n"
    assert said["own_training"] == "Promoted\n"
    recorded = [json.loads(path.read_text())["own_code"] for path in tmp_path.rglob("environment.json")]
    assert any("own_training" in code for code in recorded)  # the module of the flow and of its function
    assert said["nightly_scoring"] == "48 predictions copied\n"
    assert said["own_monitoring"].strip() in get_args(Verdict)
    assert '"state": "Escalated"' in said["own_notifier"]
    assert said["training_as_subflow"].splitlines()[0] in {"ChampionKept", "NothingNew"}


def test_every_example_is_listed_and_run(root: Path) -> None:
    files = {path.stem for path in (root / "examples").glob("*.py")}
    listed = set(re.findall(r"\]\((\w+)\.py\)", (root / "examples" / "README.md").read_text())) | {"deliveries"}
    assert listed == files
    tests = "\n".join(path.read_text() for path in (root / "tests").rglob("test_*.py"))
    run = set(FILES) | set(
        re.findall(r"^\$ python (\w+)\.py", (root / "docs" / "first-hour.md").read_text(), re.MULTILINE)
    )
    assert [name for name in sorted(files - run) if f"{name}:" not in tests] == []
