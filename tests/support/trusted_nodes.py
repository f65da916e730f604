"""Write the list of what a model file may hold: `python -m support.trusted_nodes` with PYTHONPATH=tests.

Each entry names a class by the module that defines it, under the kind of skops node that may hold it. Review the
difference before you commit it: an entry is a promise that a file which holds it can't run anything.
"""

import inspect
import json
import warnings
from pathlib import Path

PATH = Path(__file__).parents[2] / "tasks" / "models" / "trusted_nodes.json"

BOOSTERS = (
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)
CONTAINERS = {
    "BytearrayNode": ("builtins.bytearray",),
    "BytesNode": ("builtins.bytes",),
    "DTypeNode": ("numpy.dtype",),
    "DefaultDictNode": ("collections.defaultdict",),
    "DictNode": ("builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"),
    "JsonNode": ("builtins.NoneType", "builtins.bool", "builtins.float", "builtins.int", "builtins.str"),
    "ListNode": ("builtins.list",),
    "MaskedArrayNode": ("numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"),
    "PartialNode": ("functools.partial",),
    "RandomGeneratorNode": ("numpy.random._generator.Generator",),
    "RandomStateNode": ("numpy.random.mtrand.RandomState",),
    "SetNode": ("builtins.frozenset", "builtins.set"),
    "SliceNode": ("builtins.slice",),
    "TreeNode": ("sklearn.tree._tree.Tree",),
    "TupleNode": ("builtins.tuple",),
}
NOT_ESTIMATORS = (
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
)
"""Parts of fitted estimators that scikit-learn does not list as estimators itself."""


def nodes() -> dict[str, list[str]]:
    """Return the classes that a model file may hold, by kind of skops node."""
    import numpy as np
    import scipy.sparse
    from sklearn._loss import _loss
    from sklearn.gaussian_process import kernels
    from sklearn.utils import all_estimators
    from skops.io import _trusted_types as skops

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimators = [name(result) for _, result in all_estimators() if result.__module__.startswith("sklearn.")]
    parts = [result for result in skops.SKLEARN_INTERNAL_TYPE_NAMES if result.startswith("sklearn.")]
    parts += [
        name(result)
        for _, result in inspect.getmembers(kernels, inspect.isclass)
        if result.__module__ == kernels.__name__
    ]
    # Other packages add scalars of their own to numpy's table once they are imported.
    kinds = {result for result in np.sctypeDict.values() if result.__module__ == "numpy" and result is not np.object_}
    scalars = [name(result) for result in kinds]
    matrices = [
        name(result)
        for _, result in inspect.getmembers(scipy.sparse, inspect.isclass)
        if result.__name__.endswith(("_matrix", "_array")) and result.__name__ not in {"sparray", "spmatrix"}
    ]
    losses = [
        name(result) for _, result in inspect.getmembers(_loss, inspect.isclass) if result.__name__.startswith("Cy")
    ]
    return {
        **{kind: list(names) for kind, names in CONTAINERS.items()},
        "FunctionNode": [
            *skops.NUMPY_UFUNC_TYPE_NAMES,
            *skops.SCIPY_UFUNC_TYPE_NAMES,
            "sklearn.utils.validation.check_array",
        ],
        "LossNode": losses,
        "NdArrayNode": ["numpy.ndarray", *scalars],
        "ObjectNode": [*estimators, *parts, *NOT_ESTIMATORS, *BOOSTERS],
        "SparseMatrixNode": matrices,
        "TypeNode": [
            *(
                f"builtins.{kind.__name__}"
                for kind in (bool, bytes, dict, float, frozenset, int, list, set, str, tuple)
            ),
            "collections.OrderedDict",
            *scalars,
        ],
    }


def name(found: type) -> str:
    """Return a class's full name."""
    return f"{found.__module__}.{found.__qualname__}"


def text() -> str:
    """Return the file's content."""
    listed = {kind: sorted(set(names)) for kind, names in sorted(nodes().items())}
    return json.dumps({"version": 1, "nodes": listed}, indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
