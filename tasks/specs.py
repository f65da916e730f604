"""Finding a model's spec: a file, a spec of `deployments/models`, or a stored block."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from everfit.blocks.errors import SpecError
from everfit.blocks.spec import ModelSpec

_FOLDER = Path("deployments/models")


def load_spec(model: str) -> ModelSpec:
    """Load a spec.

    Args:
        model: A YAML file, the name of a spec in `deployments/models` (of the working folder, or those that come
            with everfit), or the name of a stored `ModelSpec` block.

    Raises:
        SpecError: there is none, or it is not valid.
    """
    if model.endswith((".yaml", ".yml")):
        if not Path(model).is_file():
            raise SpecError(f"there is no spec file {model!r}; check the path")
        return read_spec(Path(model).read_text(encoding="utf-8"), model)
    for folder in (_FOLDER, files("everfit.deployments") / "models"):
        found = folder / f"{model}.yaml"
        if found.is_file():
            return read_spec(found.read_text(encoding="utf-8"), str(found))
    return _load_block(model)


def read_spec(text: str, where: str) -> ModelSpec:
    """Read a spec from YAML.

    Args:
        text: The YAML.
        where: Told in errors.

    Raises:
        SpecError: it is not YAML, or not a valid spec; the message names each key, its value and what is allowed.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise SpecError(f"{where} holds {type(content).__name__}, not the keys of a spec; begin with `name: my-model`")
    try:
        return ModelSpec.model_validate(content)
    except ValidationError as error:
        raise SpecError(f"{where}: {'; '.join(_in_words(dict(problem)) for problem in error.errors())}") from error


def _in_words(problem: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{path}: there is no such key; {_known_keys(problem['loc'])}"
    if problem["type"] == "missing":
        return f"{path}: is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    value = problem["input"]
    shown = "" if isinstance(value, dict) or repr(value) in message else f" {value!r}:"
    return f"{path}:{shown} {message}" if path else message


def _known_keys(path: tuple[object, ...]) -> str:
    """What the keys beside a mistaken one could have been."""
    model: Any = ModelSpec
    for part in path[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return "see the README for the keys of a spec"
        model = field.annotation
    fields = getattr(model, "model_fields", None)
    if not fields:
        return "see the README for the keys of a spec"
    from difflib import get_close_matches

    close = get_close_matches(str(path[-1]), fields, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(fields)}"


def _load_block(model: str) -> ModelSpec:
    try:
        found = ModelSpec.load(model)
    except (ValueError, RuntimeError) as error:
        raise SpecError(
            f"there is no model spec {model!r}: not a .yaml file, not in {_FOLDER}, and no ModelSpec block of that name"
        ) from error
    assert isinstance(found, ModelSpec)  # noqa: S101 - `load` is annotated for sync and async use alike
    return found
