"""What the commands `quarantine` and `expectations` do."""

import difflib
from datetime import UTC, datetime
from typing import Any

from everfit.blocks.errors import DataError, SpecError
from everfit.blocks.settings import Settings


def list_rows(model: str, reason: str = "", turn_id: str | None = None) -> dict[str, Any]:
    """The open rows by reason, as `everfit quarantine --json` prints them.

    Args:
        model: As the commands take it.
        reason: Only rows whose reasons contain this.
        turn_id: Only rows that this turn has quarantined.

    Raises:
        DataError: nothing of the model was ever taken in here, so that no row in quarantine would be no good news.
    """
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.data.quarantine import piles
    from everfit.tasks.storage.workspace import Workspace

    name, workspace = load_spec(model).name, Workspace.of(Settings())
    if not (workspace.table(name, "dataset").exists() or workspace.table(name, "quarantine").exists()):
        raise DataError(
            f"nothing of {name!r} was taken in yet in {workspace.uri!r}; is EVERFIT_WORKSPACE the right one?"
        )
    found = piles(name, workspace, reason=reason, turn_id=turn_id)
    return {
        "model": name,
        "rows": sum(pile.rows for pile in found),
        "piles": [pile.model_dump(mode="json") for pile in found],
    }


def discard_rows(model: str, reason: str, turn_id: str | None) -> dict[str, Any]:
    """Discard open rows, and record in the ledger who did."""
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.data.quarantine import discard, open_rows
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.storage.workspace import Workspace

    settings, name, who = Settings(), load_spec(model).name, user_name()
    moment, table = datetime.now(UTC), Workspace.of(settings).table(name, "quarantine")
    rows = open_rows(table, reason, turn_id)
    if not rows.empty:  # put on record first: what is settled can't be found by a second try
        Ledger.open(settings).decisions.record(
            f"{name}/quarantine/{moment:%Y%m%dT%H%M%S%f}",
            model=name,
            kind="quarantine",
            verdict="discarded",
            until=moment,
            reasons=(f"{who} discarded {len(rows):,} rows of the quarantine",),
            record={"rows": len(rows), "reason": reason, "turn": turn_id, "by": who},
        )
    return {"model": name, "discarded": discard(table, rows, f"person:{who}"), "by": who}


def release(model: str, reason: str, turn_id: str | None) -> dict[str, Any]:
    """Release open rows that are good by now, and record in the ledger who did."""
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.data.quarantine_acceptance import accept_rows
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.storage.workspace import Workspace

    settings, spec, who = Settings(), load_spec(model), user_name()
    moment, ledger = datetime.now(UTC), Ledger.open(settings)  # it must be there before rows are taken
    released = accept_rows(spec, Workspace.of(settings), moment, reason, turn_id)
    if released.rows:
        ledger.decisions.record(
            f"{spec.name}/quarantine/{moment:%Y%m%dT%H%M%S%f}",
            model=spec.name,
            kind="quarantine",
            verdict="released",
            until=moment,
            reasons=(f"{who} released {released.released:,} rows; {released.still_bad:,} are still bad",),
            record={"release": released.model_dump(mode="json"), "reason": reason, "turn": turn_id, "by": who},
        )
    return {"model": spec.name, "by": who, **released.model_dump(mode="json")}


def propose_suite(model: str, until: str | None, *, write: bool) -> dict[str, Any]:
    """Propose a suite from the dataset's rows.

    Raises:
        DataError: the dataset has no row yet.
        SpecError: the spec itself gives the suite, which is not to be written over, or the moment is none.
    """
    import pandas as pd

    from everfit.tasks.core.records import Window
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.data.sampling import thinned
    from everfit.tasks.data.suite import SAMPLE_ROWS, infer_suite, keep_suite, suite_of, suite_path, write_suite
    from everfit.tasks.storage.workspace import Workspace

    spec, workspace = load_spec(model), Workspace.of(Settings())
    table = workspace.table(spec.name, "dataset")
    try:
        window = Window(until=pd.Timestamp(until, tz="UTC").to_pydatetime()) if until else None
    except ValueError as error:
        raise SpecError(f"--until {until!r} is not a time; write it like 2013-03-01") from error
    frame, rows = thinned(table.batches(window, spec.columns.time) if table.exists() else (), SAMPLE_ROWS)
    if not rows:
        raise DataError(f"{spec.name}: the dataset has no row to propose expectations from; train the model first")
    proposed = infer_suite(frame, spec)
    present = suite_of(spec, workspace) or ()
    if write and spec.expectations.suite is not None:
        raise SpecError(f"{spec.name}: the spec itself gives expectations.suite; write the proposal there by hand")
    if write:
        keep_suite(spec, proposed, workspace)
    old, new = (write_suite(suite).decode().splitlines() for suite in (present, proposed))
    return {
        "model": spec.name,
        "present": [each.model_dump(mode="json") for each in present],
        "proposed": [each.model_dump(mode="json") for each in proposed],
        "difference": list(difflib.unified_diff(old, new, "present", "proposed", lineterm="", n=1)),
        "written": write,
        "in_spec": spec.expectations.suite is not None,
        "path": suite_path(spec, workspace),
    }
