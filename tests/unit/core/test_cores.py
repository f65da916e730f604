"""The cores that a container has, by its control group, and the threads that fit them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn.ensemble  # noqa: F401 - loads OpenMP
from threadpoolctl import ThreadpoolController

from everfit.tasks.core import cores
from everfit.tasks.core.cores import fit_threads, free_cores, on_free_cores, usable_cores


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
    assert environment == {"OPENBLAS_NUM_THREADS": "5", "GOMP_SPINCOUNT": "1000"}

    monkeypatch.setattr(cores, "usable_cores", lambda: 3)
    chosen = {"OMP_WAIT_POLICY": "active", "OPENBLAS_NUM_THREADS": "5"}
    fit_threads(chosen)
    assert chosen == {
        "OMP_WAIT_POLICY": "active",
        "OPENBLAS_NUM_THREADS": "5",
        "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
    }


@pytest.mark.parametrize(("running", "free"), [(1, 16), (2, 15), (9, 8), (16, 1), (40, 1)])
def test_threads_of_others_leave_fewer_cores_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: int, free: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    root = a_system(tmp_path, "", {})
    (root / "proc/loadavg").write_text(f"0.20 0.10 0.05 {running}/300 4711\n")
    assert free_cores(root) == free


def test_a_quota_is_the_containers_own_and_a_system_that_does_not_tell_is_taken_as_free(tmp_path: Path) -> None:
    assert free_cores(a_system(tmp_path / "silent", "", {})) == 16
    root = a_system(tmp_path / "quota", "0::/\n", {"cpu.max": "400000 100000\n"})
    (root / "proc/loadavg").write_text("0.20 0.10 0.05 90/300 4711\n")
    assert free_cores(root) == 4


@pytest.mark.parametrize(("free", "threads"), [(1, 1), (3, 3), (16, 5)])
def test_a_fit_uses_the_free_cores_and_no_more_threads_than_it_may(
    monkeypatch: pytest.MonkeyPatch, free: int, threads: int
) -> None:
    controller = ThreadpoolController().select(user_api="openmp")
    monkeypatch.setattr(cores, "free_cores", lambda: free)
    with controller.limit(limits=5):
        with on_free_cores():
            assert [library.num_threads for library in controller.lib_controllers] == [threads]
        assert [library.num_threads for library in controller.lib_controllers] == [5]


@pytest.mark.slow
def test_it_holds_in_a_process_that_only_imports_a_flow_as_a_worker_does() -> None:
    code = (
        "import os, sys; import prefect.engine; before = 'sklearn' in sys.modules; import everfit; "
        "print(before, os.environ['GOMP_SPINCOUNT'])"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    out = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "1000"]
