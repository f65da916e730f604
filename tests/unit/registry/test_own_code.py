"""The user's own code counts as its files are, whatever the commit says."""

from pathlib import Path

import pytest
from support.deliveries import SPEC

from everfit.blocks.spec import ModelSpec
from everfit.tasks.registry.own_code import changed_packages, own_code


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
