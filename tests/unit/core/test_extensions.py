"""A user's own function is loaded by a reference or by an entry point's name."""

import sys
from pathlib import Path

import pytest
from support.extensions import install

from everfit.blocks.errors import ExtensionError
from everfit.blocks.extensions import METRICS_GROUP, extension_names, is_reference
from everfit.tasks.core.extensions import load_extension, use_own_modules

CODE = "LIMIT = 3\ndef profit(y, scores): return 7.0\n"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_reference_and_an_entry_point_load_the_same_function(packages: Path):
    install(packages, "own_shop", CODE, {METRICS_GROUP: {"profit": "own_shop:profit"}})
    assert load_extension("own_shop:profit", METRICS_GROUP)([], []) == 7.0
    assert load_extension("profit", METRICS_GROUP) is load_extension("own_shop:profit")
    assert extension_names(METRICS_GROUP) == ("profit",)


def test_a_function_that_cant_be_loaded_is_named_with_what_to_do(packages: Path):
    install(packages, "own_stall", CODE)
    (packages / "own_broken.py").write_text("raise RuntimeError('no licence\\nmore')\n")
    install(packages, "own_one", CODE, {METRICS_GROUP: {"margin": "own_one:profit"}})
    install(packages, "own_two", CODE, {METRICS_GROUP: {"margin": "own_two:profit"}})
    for name, words in (
        ("own_nowhere:profit", "'own_nowhere:profit' can't be imported: No module named 'own_nowhere'; check its"),
        ("own_stall:profti", "'own_stall:profti' can't be imported: module 'own_stall' has no attribute 'profti'"),
        ("own_broken:profit", "'own_broken:profit' can't be imported: no licence; check its spelling"),
        ("own_stall:LIMIT", "'own_stall:LIMIT' is of type int, not a function; name a function of own_stall"),
        ("turnover", r"'turnover' is not an entry point of everfit.metrics \(installed: margin\); install"),
        ("margin", "declared by several entry points of everfit.metrics: own_one:profit, own_two:profit; write one"),
    ):
        with pytest.raises(ExtensionError, match=words):
            load_extension(name, METRICS_GROUP)
    with pytest.raises(ExtensionError, match=r"'profit' is not a function; write package\.module:function"):
        load_extension("profit")


@pytest.mark.parametrize("name", ["shop:", ":f", "shop.:f", "shop:f.g", "shop", "shop:f\n", "2shop:f"])
def test_what_is_no_reference(name: str):
    assert not is_reference(name)


def test_a_workers_run_finds_the_modules_of_the_clone_that_it_has_changed_into_and_no_other_process_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    old, clone = tmp_path / "installed", tmp_path / "shop-main"
    for folder, value in ((old, 1), (clone, 2)):
        folder.mkdir()
        (folder / "own_cloned.py").write_text(f"def profit(y, scores): return {value}\n")
    monkeypatch.setattr(sys, "path", [str(old), *sys.path])
    monkeypatch.chdir(clone)
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    use_own_modules()
    assert str(clone) not in sys.path

    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "3f0a3c1e-0000-4000-8000-000000000000")
    use_own_modules()
    use_own_modules()

    assert load_extension("own_cloned:profit")([], []) == 2
    assert sys.path.count(str(clone)) == 1
