"""The folders are one package, whole, and leave nothing else in a user's site-packages."""

import os
import pkgutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

FOLDERS = ("blocks", "tasks", "flows", "deployments", "infra")
FRONT = "deployments/everfit"
"""The package `everfit` itself, which holds no more than its version."""
HEAVY = ("alembic", "deltalake", "evidently", "great_expectations", "mlflow", "pandas", "scipy", "shap", "sklearn")

LOAD_FLOWS = """
import sys
from prefect.flows import load_flow_from_entrypoint
for entrypoint in sys.argv[1:]:
    print(load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False).name)
for name, module in sys.modules.items():
    if name.startswith("everfit.") and (file := getattr(module, "__file__", None)):
        print("from", file)
"""

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
import everfit.blocks, everfit.tasks, everfit.flows, everfit.deployments, everfit.infra
for package in (everfit.blocks, everfit.tasks, everfit.flows, everfit.deployments, everfit.infra):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith(("__main__", ".env")) and ".versions." not in module.name:
            importlib.import_module(module.name)
print(*sorted(name for name in sys.modules if "." not in name))
"""


def python(code: str, *arguments: str, path: Path | None = None, folder: Path | None = None) -> str:
    """What a Python process of its own prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def packages_in_folders(root: Path) -> set[str]:
    folders = (init.parent for folder in FOLDERS for init in (root / folder).rglob("__init__.py"))
    return {
        "everfit" if folder == root / FRONT else ".".join(["everfit", *folder.relative_to(root).parts])
        for folder in folders
    }


def test_every_folder_of_modules_is_listed_as_a_package(root: Path) -> None:
    setuptools = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert packages_in_folders(root) == set(setuptools["packages"])
    assert len(setuptools["packages"]) == len(packages_in_folders(root))


def test_every_folder_that_holds_modules_is_a_package(root: Path) -> None:
    for folder in FOLDERS:
        for module in (root / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), f"{module.parent} has no __init__.py"


def test_every_package_at_the_top_says_that_it_is_typed(root: Path) -> None:
    assert [folder for folder in FOLDERS if not (root / folder / "py.typed").exists()] == []


def test_the_wheel_holds_everfit_and_nothing_else_importable(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"everfit"}


def test_the_wheel_holds_every_module_and_data_file(root: Path, wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    kept = subprocess.run(["git", "ls-files", *FOLDERS], cwd=root, capture_output=True, text=True, check=True)
    paths = [path for path in kept.stdout.splitlines() if (root / path).exists()]
    # What one starts servers with is of use in a checkout alone: the images are built from it.
    templates = {path for path in paths if path.startswith("infra/") and not path.endswith((".py", "py.typed"))}
    placed = {path: path.replace(FRONT, "everfit") if path.startswith(FRONT) else f"everfit/{path}" for path in paths}
    assert [path for path in paths if placed[path] not in names and path not in templates] == []
    assert [path for path in templates if f"everfit/{path}" in names] == []


def test_every_flow_loads_from_the_wheel_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    modules = [module.name for module in pkgutil.iter_modules([str(installed / "everfit" / "flows")])]
    assert modules, "everfit.flows has no module"
    names = [module.removesuffix("_flow") for module in modules]

    printed = python(
        LOAD_FLOWS, *(f"everfit.flows.{name}_flow.{name}" for name in names), path=installed, folder=tmp_path
    ).splitlines()

    files = [line.removeprefix("from ") for line in printed if line.startswith("from ")]
    flows = [line for line in printed if not line.startswith("from ")]
    assert flows == [name.replace("_", "-") for name in names]
    assert files
    assert [file for file in files if not Path(file).is_relative_to(installed)] == []
    assert list(tmp_path.iterdir()) == [], "loading a flow leaves files behind"


def test_no_module_of_a_short_name_is_there_once_everything_is_imported(tmp_path: Path) -> None:
    names = python(IMPORT_EVERYTHING, folder=tmp_path).split()
    assert "everfit" in names
    assert set(names) & set(FOLDERS) == set()


@pytest.mark.parametrize("package", ["everfit.blocks", "everfit.deployments.cli.commands"])
def test_configuration_and_the_command_are_light_to_import(package: str, tmp_path: Path) -> None:
    names = python(f"import {package}, sys; print(*sys.modules)", folder=tmp_path).split()
    assert package in names
    assert set(names) & set(HEAVY) == set()


def test_to_ask_who_may_do_something_needs_no_statistics(tmp_path: Path) -> None:
    names = python("import everfit.tasks.turns.entitlement, sys; print(*sys.modules)", folder=tmp_path).split()
    assert set(names) & {"scipy.stats", "sklearn", "mlflow"} == set()


def test_the_service_starts_without_prefect_and_mlflow(tmp_path: Path) -> None:
    served = (
        "everfit.deployments.cli.commands, everfit.tasks.core.spec_loading, everfit.infra.serving.app, "
        "everfit.infra.serving.endpoint"
    )
    names = python(f"import {served}, sys; print(*sys.modules)", folder=tmp_path).split()
    assert set(names) & {"prefect", "mlflow", "sklearn", "deltalake", "boto3"} == set()
