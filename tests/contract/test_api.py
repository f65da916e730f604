"""The public names: who imports them finds them, documented, and made by one rule."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from prefect import Flow, Task
from prefect.cache_policies import NO_CACHE

import everfit
import everfit.flows
import everfit.tasks
from everfit.tasks.steps.step import is_transient

TASKS = (
    "already_trained", "apply_gate", "check_serving", "collect_labels", "commit", "convert", "decide_window",
    "evaluate", "find_champion", "fit", "ingest", "longer_holdout", "measure_drift", "measure_quality",
    "measure_signals", "notify", "open_window_run", "preview_gate", "read_predictions", "read_window", "reconcile",
    "refit", "register", "release_challenger", "request_turn", "roll_back", "score", "split", "take_snapshot", "track",
    "training_data", "transform_rows", "try_candidates", "validate",
)  # fmt: skip
NETWORK = {
    "collect_labels", "commit", "find_champion", "ingest", "open_window_run", "read_predictions", "read_window",
    "register", "score", "split", "take_snapshot", "track",
}  # fmt: skip
FUNCTIONS = ("open_context", "open_turn", "own_metric")
RECORDS = (
    "Batch", "CandidateResult", "Check", "CollectedLabels", "Context", "Conversion", "Decision", "Evidence", "Fitted",
    "GateDecision", "ModelVersion", "MonitoredModel", "MonitoredWindow", "OpenTurn", "Record", "Release",
    "RequestOutcome", "ScoringResult", "SignalResult", "Signals", "Snapshot", "Split", "TrainingData", "TriageDecision",
    "Trigger", "Turn", "TurnRecord", "Validation", "Window", "WindowEvidence",
)  # fmt: skip
FLOWS = (
    "approval", "digest", "housekeeping", "labeling", "monitoring", "reconcile", "rehearsal", "retraining", "rollback",
    "scoring", "service_check", "training", "trial", "upkeep", "watch_source",
)  # fmt: skip


def function(name: str) -> Any:
    """The function behind a public name."""
    result = getattr(everfit.tasks, name)
    return inspect.unwrap(result.fn if isinstance(result, Task) else result)


def test_the_public_names_are_these() -> None:
    assert sorted(everfit.tasks.__all__) == sorted((*TASKS, *FUNCTIONS, *RECORDS))
    assert sorted(everfit.flows.__all__) == sorted(FLOWS)
    assert set(everfit.tasks.__all__) <= set(dir(everfit.tasks))


def test_each_name_is_the_kind_of_thing_that_it_should_be() -> None:
    assert [name for name in TASKS if not isinstance(getattr(everfit.tasks, name), Task)] == []
    assert [name for name in FUNCTIONS if not isinstance(getattr(everfit.tasks, name), FunctionType)] == []
    assert [name for name in RECORDS if not inspect.isclass(getattr(everfit.tasks, name))] == []
    assert [name for name in FLOWS if not isinstance(getattr(everfit.flows, name), Flow)] == []


@pytest.mark.parametrize("package", [everfit, everfit.tasks, everfit.flows])
def test_a_name_that_is_not_there_is_answered_with_those_that_are(package: Any) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trainning'; it has "):
        _ = package.trainning


@pytest.mark.parametrize("name", [*TASKS, *FUNCTIONS])
def test_each_docstring_has_its_sections(name: str) -> None:
    documented = function(name)
    text = inspect.getdoc(documented) or ""
    first, _, rest = text.partition("\n\n")
    assert first.endswith("."), first
    assert "\n" not in first
    signature = inspect.signature(documented)
    wanted = ["Args", "Example"] if name == "own_metric" else ["Args", "Raises", "Example"]  # which only marks
    if signature.return_annotation is not None:
        wanted.append("Yields" if name == "open_turn" else "Returns")
    assert [section for section in wanted if f"\n{section}:\n" not in "\n" + rest] == []
    arguments = re.search(r"^Args:\n((?:    .*\n|\n)+)", rest, flags=re.MULTILINE)
    assert arguments is not None
    assert re.findall(r"^    \**(\w+):", arguments[1], flags=re.MULTILINE) == list(signature.parameters)
    assert f"everfit.tasks.{name}(" in rest


@pytest.mark.parametrize("name", RECORDS)
def test_each_record_says_what_it_is(name: str) -> None:
    first = (inspect.getdoc(getattr(everfit.tasks, name)) or "").partition("\n")[0]
    assert first.endswith(".")


@pytest.mark.parametrize("name", TASKS)
def test_each_task_is_made_by_the_rule(name: str) -> None:
    task: Task[..., Any] = getattr(everfit.tasks, name)
    assert task.cache_policy == NO_CACHE
    assert task.retries == (2 if name in NETWORK else 0)
    assert (task.retry_condition_fn is not None) == (name in NETWORK)
    assert not task.tags  # each would be a request before every run, which a server on SQLite is slow to answer
    changed = task.with_options(retries=7, name="another")
    assert (changed.retries, changed.name) == (7, "another")


def test_only_a_connection_is_tried_again() -> None:
    import httpx
    from sqlalchemy.exc import OperationalError

    from everfit.blocks.errors import SourceError

    def caused_by(cause: Exception) -> Exception:
        try:
            raise SourceError("the source can't be read") from cause
        except SourceError as error:
            return error

    for error in (
        ConnectionResetError(),
        TimeoutError(),
        httpx.ConnectError(""),
        OperationalError("", {}, Exception()),
    ):
        assert is_transient(error)
        assert is_transient(caused_by(error))
    for error in (SourceError("no column"), FileNotFoundError(), ValueError(), caused_by(KeyError())):
        assert not is_transient(error)


def test_the_documents_name_every_task_and_flow(root: Path) -> None:
    text = (root / "docs" / "own-flows.md").read_text()
    assert [name for name in (*TASKS, *FUNCTIONS) if f"`{name}`" not in text and f"{name}(" not in text] == []
    flows = (root / "docs" / "flows.md").read_text()
    assert [name for name in FLOWS if f"`{name.replace('_', '-')}`" not in flows] == []


def test_the_packages_are_light_until_a_name_is_used(tmp_path: Path) -> None:
    code = "import everfit, everfit.tasks, everfit.flows, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    names = set(done.stdout.split())
    assert "everfit.tasks" in names
    assert names & {"prefect", "mlflow", "pandas", "sklearn", "sqlalchemy", "everfit.tasks.steps"} == set()


def test_the_version_is_that_of_the_distribution(root: Path) -> None:
    assert f'version = "{everfit.__version__}"' in (root / "pyproject.toml").read_text()
    done = subprocess.run(
        [Path(sys.executable).with_name("everfit"), "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"everfit {everfit.__version__}\n"
