"""A name means one thing: no class has two definitions, and a function has two only where one hands on to the other."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FACADES = ("flows", "deployments/cli", "tasks/steps")
"""A flow, a command and a task carry the name of the function that does the work."""

SAME_MEANING = {
    "final_state": "the final state of the flow whose steps the module has",
    "main": "the entry point of a process",
    "measure": "the evidence of the gate check that the module is about",
    "reconcile": "the repair of an interrupted release, which the repair of everything that waits begins with",
    "try_setting": "the same trial in another process",
}
"""Functions that may have two definitions below the facades, with the reason."""


def definitions(kinds: tuple[type[ast.stmt], ...]) -> dict[str, list[str]]:
    """The modules that define each public name at their top."""
    result: dict[str, list[str]] = defaultdict(list)
    for folder in ("blocks", "tasks", "flows", "deployments", "infra"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "versions" in path.parts:  # of the ledger's migrations, in which Alembic looks for `upgrade`
                continue
            for name in _names(ast.parse(path.read_text(encoding="utf-8")), kinds):
                result[name].append(path.relative_to(ROOT).as_posix())
    return result


def _names(module: ast.Module, kinds: tuple[type[ast.stmt], ...]) -> Iterator[str]:
    for node in module.body:
        name = getattr(node, "name", "_") if isinstance(node, kinds) else "_"
        if not name.startswith("_"):
            yield name


def test_no_class_has_two_definitions() -> None:
    twice = {name: modules for name, modules in definitions((ast.ClassDef,)).items() if len(modules) > 1}
    assert not twice, f"one class name, two meanings; rename one of each: {twice}"


FUNCTIONS = definitions((ast.FunctionDef, ast.AsyncFunctionDef))


def test_no_function_has_two_meanings() -> None:
    below = {
        name: [module for module in modules if not module.startswith(FACADES)] for name, modules in FUNCTIONS.items()
    }
    twice = {name: modules for name, modules in below.items() if len(modules) > 1 and name not in SAME_MEANING}
    assert not twice, f"one function name, two meanings; rename one of each: {twice}"


@pytest.mark.parametrize("facade", FACADES)
def test_no_two_modules_of_a_facade_share_a_name(facade: str) -> None:
    inside = {name: [module for module in modules if module.startswith(facade)] for name, modules in FUNCTIONS.items()}
    twice = {name: modules for name, modules in inside.items() if len(modules) > 1 and name not in SAME_MEANING}
    assert not twice, f"one function name, two meanings; rename one of each: {twice}"


@pytest.mark.parametrize("name", sorted(SAME_MEANING))
def test_each_exception_is_still_needed(name: str) -> None:
    assert len(FUNCTIONS[name]) > 1
