"""Refuse to serve by a spec that no editor has accepted.

The service can't ask the ledger. It reads the copy of the accepted spec that the worker writes into the workspace, and
keeps it on the local disk for starts while the workspace is not there.
"""

import json
import logging
import os
from pathlib import Path

from everfit.blocks.content import SpecContent
from everfit.blocks.errors import WorkspaceError
from everfit.blocks.settings import Settings
from everfit.infra.serving.time_limit import answer_within
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.accepted_copy import read_accepted
from everfit.tasks.turns.accepted_spec import AcceptedSpec, refuse_unless_accepted

logger = logging.getLogger(__name__)

_ANSWERS_WITHIN = 5.0  # seconds


def check_accepted(spec: SpecContent, settings: Settings) -> None:
    """Refuse a spec that nobody with the right to edit it has accepted.

    Args:
        spec: The spec to serve by.
        settings: Settings of this installation.

    Raises:
        RoleError: The spec is not the accepted one.
        WorkspaceError: The spec names editors, and neither the workspace nor this machine says what they accepted.
    """
    kept = settings.state_dir / "serving" / spec.name / "accepted-spec.json"
    try:
        accepted = answer_within(_ANSWERS_WITHIN, lambda: read_accepted(Workspace(settings.workspace), spec.name))
    except Exception as error:
        accepted = _read(kept)
        if accepted is None and spec.roles.edit:
            raise WorkspaceError(
                f"the spec of {spec.name!r} names its editors, and what they have accepted can't be read from the "
                f"workspace: {error}; start the service again when it can"
            ) from error
        logger.warning("%s: the accepted spec can't be read from the workspace: %s", spec.name, error)
    else:
        _keep(kept, accepted)
    refuse_unless_accepted(spec, accepted)


def _read(kept: Path) -> AcceptedSpec | None:
    return AcceptedSpec.recall(json.loads(kept.read_bytes())) if kept.exists() else None


def _keep(kept: Path, accepted: AcceptedSpec | None) -> None:
    if accepted is None:
        kept.unlink(missing_ok=True)
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_name(f"{kept.name}.{os.getpid()}.tmp")
    unfinished.write_text(accepted.canonical_json())
    unfinished.replace(kept)
