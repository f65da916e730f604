"""What a service imports before its first answer, and what it gives back of its memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from everfit.infra.serving.memory import FreedMemory
from everfit.tasks.models.skops_format import dump_model

_LOADED = """
import json, sys
from pathlib import Path
from everfit.infra.serving import accepted_specs, app
from everfit.tasks.models.skops_format import import_without_listing, load_model
import_without_listing()
model = load_model(Path(sys.argv[1]).read_bytes())
print(json.dumps([sorted(sys.modules), sorted(name for name, _ in __import__("sklearn.utils").utils.all_estimators())]))
"""

_STARTED = """
import json, sys
from everfit.infra.serving import apart, run, server
seen = []
def start_early(self):
    seen.append(self)
    print(json.dumps(sorted(sys.modules)))
    import uvicorn
    uvicorn.run = lambda *_, **__: server.from_environment()
apart.Processes.start_early = start_early
server.build_app = lambda *_, apart, **__: print(json.dumps([one is apart for one in seen]))
run(["m"])
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """Modules of a process that has loaded a model as the service does, and the estimators that scikit-learn lists."""
    path: Path = tmp_path_factory.mktemp("model") / "model.skops"
    rows = pd.DataFrame({"x": np.arange(8.0)})
    path.write_bytes(dump_model(LogisticRegression().fit(rows, rows["x"] > 3)))
    ran = subprocess.run([sys.executable, "-c", _LOADED, path], capture_output=True, text=True, check=True)
    modules, estimators = json.loads(ran.stdout)
    return set(modules), set(estimators)


@pytest.mark.slow
@pytest.mark.parametrize(
    "unneeded", ["mlflow", "prefect", "sqlalchemy", "deltalake", "everfit.tasks.ledger", "sklearn.utils._testing"]
)
def test_a_service_answers_without(loaded: tuple[set[str], set[str]], unneeded: str) -> None:
    assert unneeded not in loaded[0]


@pytest.mark.slow
def test_skops_does_not_import_all_of_scikit_learn(loaded: tuple[set[str], set[str]]) -> None:
    assert not {"sklearn.gaussian_process", "sklearn.neural_network", "sklearn.semi_supervised"} & loaded[0]


@pytest.mark.slow
def test_the_process_that_condenses_starts_before_the_service_imports_what_both_need(tmp_path: Path) -> None:
    """At the first start both import for a second or two, so they begin at the same time."""
    given = {**os.environ, "EVERFIT_WORKSPACE": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", _STARTED], capture_output=True, text=True, check=True, env=given)
    modules, taken_over = map(json.loads, ran.stdout.splitlines())
    assert not {"numpy", "pandas", "pyarrow", "starlette", "uvicorn"} & set(modules)
    assert taken_over == [True]  # by the app, which starts no second one


def test_scikit_learn_still_lists_its_estimators(loaded: tuple[set[str], set[str]]) -> None:
    assert {"LogisticRegression", "Ridge"} <= loaded[1]


def test_freed_memory_is_handed_back_after_a_pause() -> None:
    freed = FreedMemory(pause_s=3600.0)
    assert freed.hand_back()
    assert not freed.hand_back()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems hand back memory by themselves")
def test_handing_back_lowers_what_a_process_holds() -> None:
    """Small objects lie between others that stay, so the allocator keeps their pages until it is asked."""
    kept: list[bytes] | None = [bytes(600 + number % 2) for number in range(300_000)]
    assert kept is not None
    stay = kept[::2_000]
    before = _pages()
    kept = None
    FreedMemory().hand_back()
    assert _pages() < before - 100 * 2**20 // 4096
    assert stay


def _pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])
