"""Refuse to serve by a spec that no editor has accepted.

The service can't ask the ledger. It reads the copy of the accepted spec that the worker writes into the workspace, and
keeps it on the local disk for starts while the workspace is not there.
"""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from everfit.blocks.content import SpecContent
from everfit.blocks.errors import WorkspaceError
from everfit.blocks.joins import Join
from everfit.blocks.serving import ServingPolicy
from everfit.blocks.settings import Settings
from everfit.tasks.core.people import RoleError
from everfit.tasks.core.spec_keys import with_current_keys
from everfit.tasks.core.time_limit import answer_within
from everfit.tasks.storage.durable import sync_file, sync_folder
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
    try:
        accepted = _accepted(spec.name, settings)
    except WorkspaceError as error:
        if spec.roles.edit:
            raise
        logger.warning("%s", error)
        accepted = None
    refuse_unless_accepted(spec, accepted)


def check_served(
    model: str, policy: ServingPolicy, joins: Sequence[Join], signers: Sequence[str], settings: Settings
) -> None:
    """Refuse to serve by other keys than those of the accepted spec, where that names its editors.

    A process of the service gets these keys from the program that starts it, which need not have asked anybody.

    Args:
        model: Name of the model.
        policy: `release.serving`.
        joins: `source.joins`.
        signers: `release.signers`.
        settings: Settings of this installation.

    Raises:
        RoleError: A key differs from the accepted spec.
    """
    try:
        accepted = _accepted(model, settings)
    except WorkspaceError as error:
        logger.warning("%s", error)
        return
    if accepted is None:
        return
    try:
        spec = SpecContent.model_validate({**with_current_keys(accepted.content), "name": model})
    except ValidationError as error:
        raise RoleError(
            f"the spec of {model!r} that {accepted.person.signed} has accepted is none of this version: "
            f"{error.errors()[0]['msg']}; let an editor run `everfit accept-spec {model}`"
        ) from error
    release = spec.release.model_copy(update={"serving": policy, "signers": tuple(signers)})
    refuse_unless_accepted(spec.model_copy(update={"release": release, "joins": tuple(joins)}), accepted)


def _accepted(model: str, settings: Settings) -> AcceptedSpec | None:
    """Return what was accepted, from the workspace, or from this machine while that does not answer."""
    kept = settings.state_dir / "serving" / model / "accepted-spec.json"
    try:
        accepted = answer_within(_ANSWERS_WITHIN, lambda: read_accepted(Workspace(settings.workspace), model))
    except Exception as error:
        if (accepted := _read(kept)) is not None:
            logger.warning("%s: the accepted spec can't be read from the workspace: %s", model, error)
            return accepted
        raise WorkspaceError(
            f"what the editors of {model!r} have accepted can't be read from the workspace: {error}; start the "
            f"service again when it can"
        ) from error
    _keep(kept, accepted)
    return accepted


def _read(kept: Path) -> AcceptedSpec | None:
    try:
        return AcceptedSpec.recall(json.loads(kept.read_bytes()))
    except (OSError, ValueError):  # there is none, or a power cut has torn it
        return None


def _keep(kept: Path, accepted: AcceptedSpec | None) -> None:
    if accepted is None:
        kept.unlink(missing_ok=True)
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_name(f"{kept.name}.{os.getpid()}.tmp")
    unfinished.write_text(accepted.canonical_json())
    sync_file(unfinished)
    unfinished.replace(kept)
    sync_folder(kept.parent)
