"""The keys of a model spec: hints for a mistaken key, and the keys that have a new name since version 0.1."""

from collections.abc import Sequence
from copy import deepcopy
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from everfit.blocks.content import SpecContent

RENAMED = {
    "gate.slices.too_few": "small_slices",
    "gate.too_small": "small_holdout",
    "monitoring.alpha": "false_discovery_rate",
    "monitoring.explanation_threshold": "explanation_drift_threshold",
    "monitoring.explanations": "explanation_drift",
    "monitoring.multivariate": "joint_drift",
    "monitoring.multivariate_threshold": "joint_drift_threshold",
    "monitoring.of_windows": "persistence_windows",
    "monitoring.operations": "service_health",
    "monitoring.quality": "data_quality",
    "release.bake_time": "rollback_within",
    "retraining.satisfaction": "user_metrics",
    "retraining.worth.per_metric_unit": "value_per_metric_unit",
    "retraining.worth": "cost_benefit",
    "training.recency": "half_life",
    "training.value": "business_value",
}
"""The keys of version 0.1 that are called otherwise now; a key inside of another comes before it."""

_RENAMED_VALUES = {"gate.slices.too_few": {"tell": "report"}}


def hint(path: Sequence[object]) -> str:
    """Return what a person may have meant by an unknown key.

    Args:
        path: The key's place as pydantic reports it: keys, names and positions, and the kind of a source.

    Returns:
        The new name of a renamed key, the most similar key, or all the keys that are possible there.
    """
    dotted = ".".join(str(part) for part in path)
    if dotted in RENAMED:
        return f"it is called {RENAMED[dotted]!r} since version 0.2"
    annotation: Any = SpecContent
    for part in path[:-1]:
        annotation = _step(annotation, part)
    known = [name for option in options(annotation) for name in getattr(option, "model_fields", ())]
    if not known:
        return "see docs/spec.md for the keys of a spec"
    close = get_close_matches(str(path[-1]), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def with_current_keys(content: dict[str, Any]) -> dict[str, Any]:
    """Return a spec that version 0.1 stored with a turn, under the keys of today.

    Only what everfit has stored is read like this; in a person's file an old key is an error.

    Args:
        content: The spec as plain data; it stays as it is.
    """
    current = deepcopy(content)
    for dotted, new in RENAMED.items():
        *parents, old = dotted.split(".")
        part: Any = current
        for parent in parents:
            part = part.get(parent) if isinstance(part, dict) else None
        if isinstance(part, dict) and old in part:
            value = part.pop(old)
            part[new] = _RENAMED_VALUES[dotted].get(value, value) if dotted in _RENAMED_VALUES else value
    return current


def _step(annotation: Any, part: object) -> Any:
    """Return the type at one part of a path, or None if it is unknown."""
    for option in options(annotation):
        if get_origin(option) is dict:
            return get_args(option)[1]
        if get_origin(option) is tuple:
            return get_args(option)[0]
        fields = getattr(option, "model_fields", {})
        if part in fields:
            return fields[part].annotation
        if "kind" in fields and fields["kind"].default == part:
            return option
    return None


def options(annotation: Any) -> list[Any]:
    """Return the types that a value may have, one by one, without their annotations."""
    if get_origin(annotation) is Annotated:
        return options(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return [option for part in get_args(annotation) for option in options(part)]
    return [annotation]
