"""Finding a model's spec: a file, a spec of `deployments/models`, or a stored block."""

import logging
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import ValidationError

from everfit.blocks.content import SpecContent
from everfit.blocks.errors import SpecError
from everfit.tasks.core.spec_keys import hint
from everfit.tasks.core.unique_keys import RepeatedKeyError, UniqueKeyLoader

if TYPE_CHECKING:
    from everfit.blocks.spec import ModelSpec

SpecT = TypeVar("SpecT", bound=SpecContent)

logger = logging.getLogger("everfit.specs")

_FOLDER = Path("deployments/models")

_SECRET_KEYS = frozenset({"token", "url"})
"""The values of these keys are never shown: an address may contain a password."""


def file_content(model: str) -> SpecContent | None:
    """Return the content of a spec's file without importing Prefect; None without such a file.

    Args:
        model: As `load_spec` takes it.

    Raises:
        SpecError: the named path has no file, or it is not valid.
    """
    if model.endswith((".yaml", ".yml")):
        return _read(_text_of(model), model, SpecContent)
    return _named_file(model, SpecContent)


def load_spec(model: str, *, stored: bool = True) -> "ModelSpec":
    """Load a spec.

    Where a Prefect server is configured, a block that is stored on it counts before a file of the same name: that is
    where a person edits it, and what all workers see.

    Args:
        model: A YAML file, the name of a stored `ModelSpec` block, or of a spec in the working folder, in its
            `deployments/models`, or of those that come with everfit.
        stored: Whether a stored block is searched for too. A caller that must work while Prefect is down passes False.

    Raises:
        SpecError: There is none, it is not valid, or the server does not answer.
    """
    from everfit.blocks.spec import ModelSpec

    if model.endswith((".yaml", ".yml")):
        return read_spec(_text_of(model), model)
    given = _named_file(model, ModelSpec)
    if given is not None and not (stored and _has_server()):
        return given
    if not stored:
        raise SpecError(
            f"there is no spec {model!r} here or in {_FOLDER}, and no Prefect server that could have a block of that "
            "name; give the path of its .yaml file"
        )
    spec = _load_block(model) or given
    if spec is None:
        raise SpecError(
            f"there is no model spec {model!r}: not a .yaml file, none of that name here or in {_FOLDER}, and no "
            "ModelSpec block of that name; write one by `everfit init`"
        )
    if given is not None and spec.digest() != _as_deployed(given, spec).digest():
        logger.info("spec      the stored block %r counts; it differs from the file of that name", model)
    return spec


def _as_deployed(given: "ModelSpec", stored: "ModelSpec") -> "ModelSpec":
    """Return the spec of a file as a bootstrap stores it: with the services of the installation, if it names none."""
    if given.release.services:
        return given
    release = given.release.model_copy(update={"services": stored.release.services})
    return given.model_copy(update={"release": release})


def _text_of(path: str) -> str:
    if not Path(path).is_file():
        raise SpecError(f"there is no spec file {path!r}; check the path")
    return Path(path).read_text(encoding="utf-8")


def _named_file(model: str, kind: type[SpecT]) -> SpecT | None:
    for folder in (_FOLDER, Path(), files("everfit.deployments") / "models"):
        path = folder / f"{model}.yaml"
        if path.is_file() and (folder != Path() or _names(Path(f"{model}.yaml"), model)):
            return _read(path.read_text(encoding="utf-8"), str(path), kind)
    return None


def _names(path: Path, model: str) -> bool:
    """Return whether a file is the spec of a model: many a file of a project's own folder is none."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(re.fullmatch(rf"name:\s*['\"]?{re.escape(model)}['\"]?\s*(#.*)?", line) for line in lines)


def _has_server() -> bool:
    from prefect.settings import get_current_settings

    return get_current_settings().api.url is not None


def spec_files() -> list[Path]:
    """The specs of `deployments/models` in the working folder, or those that come with everfit.

    A project with deployments of its own has none of the latter, also when its last spec is gone, and the folder by it.
    """
    own = _FOLDER.is_dir() or (_FOLDER.parent / "prefect.yaml").is_file()
    folder = _FOLDER if own else Path(str(files("everfit.deployments") / "models"))
    return sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])


def load_spec_file(path: Path) -> "ModelSpec":
    """Load the spec of a file.

    Raises:
        SpecError: it can't be read, or is not valid.
    """
    try:
        return read_spec(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} can't be read: {error}") from error


def read_spec(text: str, where: str) -> "ModelSpec":
    """Read a spec from YAML.

    Args:
        text: The YAML.
        where: Named in errors.

    Raises:
        SpecError: it is not YAML, or not a valid spec; the message names each key, its value and what is allowed.
    """
    from everfit.blocks.spec import ModelSpec

    return _read(text, where, ModelSpec)


class _Yaml(UniqueKeyLoader):
    """YAML in which only `true` and `false` are that: by the older rule the key `on` would be read as `true`."""


_TRUTH = "tag:yaml.org,2002:bool"
_Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != _TRUTH]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml.add_implicit_resolver(_TRUTH, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def yaml_content(text: str, where: str) -> Any:
    """Return the content of YAML as specs are written: only `true` and `false` are truth values, `on` is a name.

    Args:
        text: The YAML.
        where: Named in errors.

    Raises:
        SpecError: It is not YAML, or a key is written twice.
    """
    try:
        return yaml.load(text, Loader=_Yaml)  # noqa: S506 - it is a safe one
    except RepeatedKeyError as error:
        raise SpecError(f"{where}: {error}") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{where} is not YAML: {' '.join(str(error).split())}") from error


def _read(text: str, where: str, kind: type[SpecT]) -> SpecT:
    content = yaml_content(text, where)
    if not isinstance(content, dict):
        raise SpecError(f"{where} holds {type(content).__name__}, not the keys of a spec; begin with `name: my-model`")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise SpecError(f"{where}: {spec_problems(error)}") from error


def spec_problems(error: ValidationError) -> str:
    """Return a sentence for each mistake in a spec, with the new name of a renamed key."""
    return "; ".join(_in_words(dict(problem)) for problem in error.errors())


_OF_TYPES = {
    "tuple_type": "write a list, such as [a, b]",
    "list_type": "write a list, such as [a, b]",
    "dict_type": "write keys below it, each with its value",
    "model_type": "write keys below it, each with its value",
    "model_attributes_type": "write keys below it, each with its value",
    "string_type": "write a text, in quotes if it looks like a number or true",
}
"""The message for a value of another type, in words of the spec."""


def _in_words(problem: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{path}: there is no such key; {hint(problem['loc'])}"
    if problem["type"] == "missing":
        return f"{path}: is missing"
    value = problem["input"]
    if value is None and "none" not in problem["type"]:
        return f"{path}: nothing is written there; write a value, or remove the key if its default is meant"
    message = _OF_TYPES.get(problem["type"]) or str(problem["msg"]).removeprefix("Value error, ")
    hidden = path.rpartition(".")[2] in _SECRET_KEYS or problem["type"] == "secret" or isinstance(value, dict)
    shown = "" if hidden or repr(value) in message else f" {value!r}:"
    return f"{path}:{shown} {message}" if path else message


def _load_block(model: str) -> "ModelSpec | None":
    """The stored block of that name; None if there is none, or no server that could have one."""
    import httpx

    from everfit.blocks.spec import ModelSpec

    try:
        block = ModelSpec.load(model)
    except (ValueError, RuntimeError, httpx.HTTPError) as error:
        if isinstance(error.__cause__, ValidationError):  # what Prefect says of it names no key
            problems = spec_problems(error.__cause__)
            raise SpecError(f"the stored block {model!r}: {problems}; edit it in Prefect") from error
        if _has_server() and "Unable to find block document" not in str(error):
            raise SpecError(
                f"the Prefect server can't say whether it has a spec {model!r}: {error}; without it give the path of a "
                f".yaml file"
            ) from error
        return None
    assert isinstance(block, ModelSpec)  # noqa: S101 - `load` is annotated for sync and async use alike
    return block
