"""A Prefect server that a project with one spec sets up."""

from pathlib import Path
from typing import Any

import yaml
from support.deliveries import SPEC

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.deployments.server import files
from everfit.deployments.server.bootstrap import Options, bootstrap
from everfit.deployments.server.changes import Change

MODEL = "parcels"
"""The project's model, which no other story of a test session's server has."""


class Server:
    """A server, and a project with one spec."""

    def __init__(self, prefect: Any) -> None:
        self.prefect = prefect

    def set_up(self, **options: Any) -> list[Change]:
        """Bootstrap, and give what was not left as it was."""
        return [change for change in bootstrap(Settings(), Options(**options)).made if change.status != "unchanged"]

    def write(self, **changes: Any) -> None:
        path = Path("deployments/models") / f"{MODEL}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(SPEC | {"name": MODEL} | changes))

    def write_deployments(self, *flows: str) -> None:
        """A file of the project's own, with these alone: a story of blocks needs no others."""
        content = files.read_prefect_file().model_dump(by_alias=True, exclude_none=True, mode="json")
        content["deployments"] = [each for each in content["deployments"] if each["entrypoint"].endswith(flows)]
        Path("deployments/prefect.yaml").write_text(yaml.safe_dump(content))

    @property
    def block(self) -> Any:
        return self.prefect.read_block_document_by_name(MODEL, ModelSpec.get_block_type_slug())

    def edit(self, **data: Any) -> None:
        """As the form of the UI does it."""
        sent = {"data": {**self.block.data, **data}, "merge_existing_data": False}
        self.prefect.request("PATCH", "/block_documents/{id}", path_params={"id": self.block.id}, json=sent)

    @property
    def everything(self) -> dict[str, Any]:
        """All that a bootstrap could touch."""
        return {
            path: self.prefect.request("POST", f"/{path}/filter", json={"limit": 200}).json()
            for path in ("deployments", "automations", "work_pools", "block_documents", "variables")
        }
