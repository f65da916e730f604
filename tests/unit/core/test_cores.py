"""The cores that a container has, by its control group, and the threads that fit them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from everfit.tasks.core import cores
from everfit.tasks.core.cores import fit_threads, usable_cores


@pytest.fixture(autouse=True)
def a_machine_of_sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def a_system(root: Path, group: str, files: dict[str, str]) -> Path:
    files = {"proc/self/cgroup": group, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("group", "files", "usable"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 16),
        ("0::/pod/app\n", {"pod/cpu.max": "300000 100000\n", "pod/app/cpu.max": "max 100000\n"}, 3),
        (
            "5:memory:/x\n4:cpu,cpuacct:/x\n",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "400000\n", "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n"},
            4,
        ),
        ("4:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, 16),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("", {}, 16),
    ],
)
def test_the_quota_of_a_container_bounds_its_cores(
    tmp_path: Path, group: str, files: dict[str, str], usable: int
) -> None:
    assert usable_cores(a_system(tmp_path, group, files)) == usable


def test_threads_fit_a_container_and_a_persons_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"OPENBLAS_NUM_THREADS": "5"}
    fit_threads(environment)
    assert environment == {"OPENBLAS_NUM_THREADS": "5", "OMP_WAIT_POLICY": "passive"}

    monkeypatch.setattr(cores, "usable_cores", lambda: 3)
    chosen = {"OMP_WAIT_POLICY": "active", "OPENBLAS_NUM_THREADS": "5"}
    fit_threads(chosen)
    assert chosen == {
        "OMP_WAIT_POLICY": "active",
        "OPENBLAS_NUM_THREADS": "5",
        "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
    }


@pytest.mark.slow
def test_it_holds_in_a_process_that_only_imports_a_flow_as_a_worker_does() -> None:
    code = (
        "import os, sys; import prefect.engine; before = 'sklearn' in sys.modules; import everfit; "
        "print(before, os.environ['OMP_WAIT_POLICY'])"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    out = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "passive"]
