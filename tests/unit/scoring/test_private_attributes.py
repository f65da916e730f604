"""The private names of scikit-learn that the fast paths read are where this version of it keeps them."""

import ast
import importlib
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from everfit.tasks.scoring import fast_path
from everfit.tasks.scoring.fast_path import private_attributes as listed

TABLE = pd.DataFrame({"x": np.arange(100.0), "shop": [float(row % 3) for row in range(100)]})
TARGET = (TABLE["x"] % 7 > 2).astype(int)
CLASSIFIERS = {
    kind.__name__: kind
    for kind in (LogisticRegression, HistGradientBoostingClassifier, RandomForestClassifier, DecisionTreeClassifier)
}


@cache
def boosting(kind: type, *, categorical: bool = False) -> Any:
    return kind(max_iter=3, categorical_features=[1] if categorical else None).fit(TABLE.to_numpy(), TARGET)


def there(owner: Any, name: str, reader: str) -> Any:
    """The attribute, or a failure that says which is gone and which file reads it."""
    for part in name.split("."):
        if not hasattr(owner, part):
            pytest.fail(
                f"scikit-learn {sklearn.__version__} has no {type(owner).__name__}.{part} (of {name!r}), "
                f"which {reader} reads; the fast path is off until it is changed"
            )
        owner = getattr(owner, part)
    return owner


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *product([HistGradientBoostingClassifier], listed.BOOSTING_ATTRIBUTES),
        *product(
            [HistGradientBoostingRegressor],
            [name for name in listed.BOOSTING_ATTRIBUTES if name != "_loss.predict_proba"],
        ),
    ],
)
def test_attributes_of_a_boosting(kind: type, name: str) -> None:
    there(boosting(kind), name, listed.BOOSTING)


@pytest.mark.parametrize("name", listed.CATEGORICAL_BOOSTING_ATTRIBUTES)
def test_attributes_of_a_boosting_with_categories(name: str) -> None:
    estimator = boosting(HistGradientBoostingClassifier, categorical=True)
    assert "encoder" in there(estimator, name, listed.BOOSTING), f"{listed.BOOSTING} reads {name}['encoder']"


@pytest.mark.parametrize("name", listed.TREE_ATTRIBUTES)
def test_attributes_of_a_tree(name: str) -> None:
    ((tree, *_), *_) = boosting(HistGradientBoostingClassifier)._predictors
    there(tree, name, listed.BOOSTING)


@pytest.mark.parametrize("name", listed.NODE_FIELDS)
def test_fields_of_a_node(name: str) -> None:
    ((tree, *_), *_) = boosting(HistGradientBoostingClassifier)._predictors
    assert name in tree.nodes.dtype.names, f"a tree's nodes have no field {name!r}, which {listed.BOOSTING} reads"


def test_the_predictor_of_one_tree_gives_the_trees_values() -> None:
    module, name = listed.PREDICTOR
    predict_from = there(importlib.import_module(module), name, listed.BOOSTING)
    estimator = boosting(HistGradientBoostingRegressor)
    ((tree, *_), *_) = estimator._predictors
    known, places = estimator._bin_mapper.make_known_categories_bitsets()
    values = np.empty(len(TABLE))

    predict_from(tree.nodes, TABLE.to_numpy(), tree.raw_left_cat_bitsets, known, places, 1, values)

    assert set(values) <= set(tree.nodes["value"][tree.nodes["is_leaf"] == 1])


@pytest.mark.parametrize(("name", "module"), listed.PRIVATE_MODULES)
def test_modules_by_which_classifiers_are_recognised(name: str, module: str) -> None:
    own = CLASSIFIERS[name].__module__
    assert own.startswith(module), f"{name} is in {own} now, and {listed.ARGMAX} looks for it in {module}"


def test_a_fast_path_is_taken_with_this_version() -> None:
    from everfit.tasks.scoring.fast_path.argmax import predicts_most_probable
    from everfit.tasks.scoring.fast_path.boosting import FastBoosting

    assert FastBoosting.of(boosting(HistGradientBoostingClassifier)) is not None
    assert FastBoosting.of(boosting(HistGradientBoostingClassifier, categorical=True)) is not None
    assert all(predicts_most_probable(kind()) for kind in CLASSIFIERS.values())


def test_everything_private_that_is_read_is_listed() -> None:
    names = {
        *listed.BOOSTING_ATTRIBUTES,
        *listed.CATEGORICAL_BOOSTING_ATTRIBUTES,
    }
    first = {name.split(".")[0] for name in names}
    for file in Path(next(iter(fast_path.__path__))).glob("*.py"):
        tree = ast.parse(file.read_text())
        read = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls", "fast"})
        }
        assert read <= first, f"{file.name} reads {sorted(read - first)}, which private_attributes.py does not list"


@pytest.mark.slow
def test_nothing_outside_of_the_fast_paths_reads_private_names_of_scikit_learn() -> None:
    root = Path(next(iter(fast_path.__path__))).parents[2]
    private = {name.split(".")[0] for name in (*listed.BOOSTING_ATTRIBUTES, *listed.CATEGORICAL_BOOSTING_ATTRIBUTES)}
    for file in (*(root / "tasks").rglob("*.py"), *(root / "infra").rglob("*.py")):
        if "fast_path" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sklearn."):
                assert "._" not in node.module, f"{file}:{node.lineno} imports {node.module}"
                assert not any(name.name.startswith("_") for name in node.names), f"{file}:{node.lineno}"
            if isinstance(node, ast.Attribute) and node.attr in private:
                own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
                assert own, f"{file}:{node.lineno} reads {node.attr}; move it to tasks/scoring/fast_path/"
