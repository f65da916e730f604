"""The names of flow runs in the UI: by the model's name, however the spec was named."""

from collections.abc import Callable
from pathlib import PurePath

from prefect import runtime


def run_name(verb: str) -> Callable[[], str]:
    """A name for runs of a flow whose parameter `model` may be a spec file's path.

    Args:
        verb: The action of the flow, such as `train`.
    """

    def name() -> str:
        model = str(runtime.flow_run.parameters["model"])
        return f"{verb}-{PurePath(model).stem if model.endswith(('.yaml', '.yml')) else model}"

    return name
