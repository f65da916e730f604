"""The user's own code counts as its files are, whatever the commit says."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.deliveries import SPEC

from everfit.blocks.spec import ModelSpec
from everfit.tasks.registry.own_code import changed_packages, code_name, own_code


def test_a_change_in_any_module_of_a_named_package_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "own_shop_code"
    package.mkdir()
    for name in ("__init__", "metrics", "helpers"):
        (package / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    spec = ModelSpec.model_validate(SPEC | {"training": {"metric": "own_shop_code.metrics:profit"}})
    then = own_code(spec)
    assert list(then) == ["own_shop_code"]
    assert changed_packages(own_code(spec), then) == []

    (package / "helpers.py").write_text("RATE = 2")
    assert changed_packages(own_code(spec), then) == ["own_shop_code"]


def test_a_spec_without_own_code_has_none_and_what_is_missing_is_said() -> None:
    assert own_code(ModelSpec.model_validate(SPEC)) == {}
    spec = ModelSpec.model_validate(SPEC | {"gate": {"checks": ["no_such_package_here.checks:fair"]}})
    assert own_code(spec) == {"no_such_package_here": "missing"}


def test_another_commit_with_the_same_files_is_no_change() -> None:
    assert changed_packages({"shop": "a", "commit of shop": "1"}, {"shop": "a", "commit of shop": "2"}) == []
    assert changed_packages({"shop": "a"}, {}) == ["shop"]


def function_of(path: Path, name: str) -> Callable[..., Any]:
    """The function `mine` of a module that is written to a file and loaded by its path, as Prefect loads a flow."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("def mine():\n    return 1\n")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    mine: Callable[..., Any] = module.mine
    return mine


def test_a_flow_counts_by_its_package_or_else_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    alone = function_of(tmp_path / "flows" / "mine.py", "__loaded_by_path__")
    assert code_name(alone) == "flows/mine.py"
    (tmp_path / "own_shop_flows").mkdir()
    (tmp_path / "own_shop_flows" / "__init__.py").touch()
    packaged = function_of(tmp_path / "own_shop_flows" / "nightly.py", "__loaded_by_path__")
    assert code_name(packaged) == "own_shop_flows/nightly.py"  # no import finds it
    monkeypatch.syspath_prepend(tmp_path)
    assert code_name(packaged) == "own_shop_flows"

    spec = ModelSpec.model_validate(SPEC)
    then = own_code(spec, ["flows/mine.py", "own_shop_flows", "commit of own_shop_flows"])
    assert list(then) == ["flows/mine.py", "own_shop_flows"]
    (tmp_path / "flows" / "mine.py").write_text("def mine():\n    return 2\n")
    assert changed_packages(own_code(spec, then), then) == ["flows/mine.py"]
    (tmp_path / "flows" / "mine.py").unlink()
    assert own_code(spec, then)["flows/mine.py"] == "missing"


def test_functions_of_everfit_and_of_no_file_are_no_own_code() -> None:
    namespace: dict[str, Any] = {}
    exec("def mine(): pass", namespace)  # noqa: S102 - as a notebook's cell is run
    assert code_name(namespace["mine"]) is None
    assert code_name(own_code) is None
    assert code_name(len) is None
