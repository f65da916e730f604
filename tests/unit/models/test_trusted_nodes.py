"""A model file holds listed classes alone, and runs nothing when it is loaded."""

import importlib
import inspect
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from support.trusted_nodes import BOOSTERS, PATH, text

from everfit.blocks.errors import ModelError
from everfit.tasks.models import trusted_nodes
from everfit.tasks.models.skops_format import dump_model, load_model, trusted_types
from everfit.tasks.models.trusted_nodes import TRUSTED_VARIABLE, check_nodes, untrusted

ROWS = pd.DataFrame({"a": np.arange(20.0) + 1, "b": np.tile([0.0, 1.0], 10)})
TARGET = np.tile([0, 1], 10)


def fitted(first: Any = None) -> Pipeline:
    return make_pipeline(first or StandardScaler(), LogisticRegression()).fit(ROWS, TARGET)


def changed(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return a model file with another schema, as an attacker would write it."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(written, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "schema.json":
                schema = json.loads(data)
                change(schema)
                data = json.dumps(schema).encode()
            new.writestr(name, data)
    return written.getvalue()


def attack(kind: str, module: str, name: str) -> Callable[[dict[str, Any]], None]:
    """Put a node of another class in the place of the pipeline's first step."""

    def change(schema: dict[str, Any]) -> None:
        steps = schema["content"]["content"]["steps"]["content"]
        steps[0]["content"][1] |= {"__loader__": kind, "__module__": module, "__class__": name}

    return change


def test_what_everfit_fits_is_written_and_read() -> None:
    content = dump_model(fitted())
    assert (load_model(content).predict(ROWS) == fitted().predict(ROWS)).all()
    logarithm = dump_model(fitted(FunctionTransformer(np.log1p)))
    assert "numpy.log1p" not in trusted_types(logarithm)  # skops trusts it by itself
    assert load_model(logarithm).predict(ROWS).shape == (20,)


@pytest.mark.parametrize(
    ("kind", "module", "name"),
    [
        ("FunctionNode", "sklearn.utils._testing", "check_output"),
        ("FunctionNode", "sklearn.utils._joblib", "joblib"),
        ("FunctionNode", "os", "system"),
        ("FunctionNode", "builtins", "eval"),
        ("TypeNode", "subprocess", "Popen"),
        ("ObjectNode", "sklearn.utils._testing", "TempMemmap"),
        ("ObjectNode", "sklearn.linear_model", "LogisticRegression"),
        ("MethodNode", "sklearn.linear_model._logistic", "LogisticRegression"),
        ("OperatorFuncNode", "operator", "methodcaller"),
        ("ConstructorFromReduceNode", "builtins", "range"),
        ("NewNode", "builtins", "dict"),
    ],
)
def test_a_class_or_function_that_is_not_listed_is_refused(kind: str, module: str, name: str) -> None:
    content = changed(dump_model(fitted()), attack(kind, module, name))
    with pytest.raises(ModelError, match=f"{module}.{name}.*does not trust"):
        load_model(content)


def test_a_file_that_would_run_a_command_runs_none(tmp_path: Path) -> None:
    proof = tmp_path / "proof"

    def change(schema: dict[str, Any]) -> None:
        step = schema["content"]["content"]["steps"]["content"][0]["content"][1]
        step["content"]["content"]["func"] |= {
            "__module__": "sklearn.utils._testing",
            "__class__": "check_output",
            "__loader__": "FunctionNode",
        }

    content = changed(dump_model(fitted(FunctionTransformer(np.log1p))), change)
    with pytest.raises(ModelError, match=r"sklearn\.utils\._testing\.check_output"):
        load_model(content).predict([f"touch {proof}"])
    assert not proof.exists()


@pytest.mark.parametrize("module", ["os", "numpy.os"])
@pytest.mark.parametrize("protocol", [0, None, "0"])
def test_a_file_in_an_old_format_that_names_a_function_twice_runs_nothing(
    tmp_path: Path, protocol: object, module: str
) -> None:
    """In skops' first format, the class is what is shown, and another field is what is loaded and called."""
    proof = tmp_path / "proof"

    def change(schema: dict[str, Any]) -> None:
        schema["protocol"] = protocol
        columns = schema["content"]["content"]["steps"]
        columns["content"].append(
            {
                "__loader__": "DictNode",
                "__module__": "builtins",
                "__class__": "dict",
                "content": {f"touch {proof}": columns["content"][0]},
                "key_types": {
                    "__loader__": "ListNode",
                    "__module__": "builtins",
                    "__class__": "list",
                    "content": [
                        {
                            "__loader__": "FunctionNode",
                            "__module__": "numpy",
                            "__class__": "exp",
                            "content": {"module_path": module, "function": "system"},
                        }
                    ],
                },
            }
        )

    content = changed(dump_model(fitted()), change)
    with pytest.raises(ModelError, match="format"):
        load_model(content)
    assert not proof.exists()


def test_skops_is_asked_to_trust_nothing_but_what_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a file that skops reads and the check overlooks is refused, whatever it is."""
    content = dump_model(fitted(FunctionTransformer(np.log1p)))
    monkeypatch.setattr(trusted_nodes, "_nodes", lambda schema: iter([("TupleNode", "builtins.tuple")]))
    forged = changed(content, lambda schema: _rename(schema, ("numpy", "log1p"), ("posixpath", "exists")))
    with pytest.raises(ModelError, match=r"posixpath\.exists"):
        load_model(forged)


def test_an_operator_trusts_a_class_where_it_is_defined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_steps.py").write_text(
        "from subprocess import check_output\n\n\ndef doubled(rows):\n    return rows * 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    own = importlib.import_module("own_steps")
    content = dump_model(fitted(FunctionTransformer(own.doubled)))
    with pytest.raises(ModelError, match=f"{TRUSTED_VARIABLE}=own_steps.doubled"):
        load_model(content)

    monkeypatch.setenv(TRUSTED_VARIABLE, "other.thing, own_steps.doubled,own_steps.check_output")
    assert load_model(content).predict(ROWS).shape == (20,)
    forged = changed(content, lambda schema: _rename(schema, ("own_steps", "doubled"), ("own_steps", "check_output")))
    with pytest.raises(ModelError, match="check_output"):
        load_model(forged)
    sys.modules.pop("own_steps")


def _rename(node: Any, before: tuple[str, str], after: tuple[str, str]) -> None:
    if isinstance(node, dict):
        if (node.get("__module__"), node.get("__class__")) == before:
            node["__module__"], node["__class__"] = after
        for child in node.values():
            _rename(child, before, after)
    elif isinstance(node, list):
        for child in node:
            _rename(child, before, after)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04"])
def test_a_damaged_file_is_one_clear_error(content: bytes) -> None:
    with pytest.raises(ModelError, match="can't be read"):
        check_nodes(content)


def test_an_array_that_would_run_a_command_is_one_clear_error(tmp_path: Path) -> None:
    class Command:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    array, out = io.BytesIO(), io.BytesIO()
    np.save(array, np.array([Command()], dtype=object), allow_pickle=True)
    content = dump_model(make_pipeline(StandardScaler(), LogisticRegression()).fit([[0.0], [1.0]], [0, 1]))
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            target.writestr(name, array.getvalue() if name.endswith(".npy") else source.read(name))

    with pytest.raises(ModelError, match="the model file can't be read: ValueError: Object arrays cannot be loaded"):
        load_model(out.getvalue())
    assert not (tmp_path / "ran").exists()


def test_every_listed_class_is_a_class_and_every_function_a_numeric_one() -> None:
    for kind, names in json.loads(PATH.read_text())["nodes"].items():
        for name in names:
            module, _, attribute = name.rpartition(".")
            if name in BOOSTERS or module == "builtins":
                continue
            result = getattr(importlib.import_module(module), attribute)
            if kind != "FunctionNode":
                assert inspect.isclass(result), name
            elif name != "sklearn.utils.validation.check_array":
                assert isinstance(result, np.ufunc), name


def test_the_list_is_what_the_installed_libraries_have() -> None:
    assert PATH.read_text() == text(), "run `python -m support.trusted_nodes`, and review the difference"


@pytest.mark.parametrize(
    ("name", "kind", "is_advised"),
    [
        ("os.remove", "FunctionNode", False),
        ("subprocess.Popen", "ObjectNode", False),
        ("joblib.load", "FunctionNode", False),
        ("sklearn.utils._testing.check_output", "FunctionNode", False),
        ("sklearn.new.Estimator", "ObjectNode", True),
        ("team.encoders.Rare", "ObjectNode", True),
        ("team.encoders.clip", "FunctionNode", True),
    ],
)
def test_no_function_that_could_do_harm_is_advised_to_be_trusted(name: str, kind: str, *, is_advised: bool) -> None:
    assert (f"{TRUSTED_VARIABLE}={name}" in str(untrusted(name, kind))) == is_advised
