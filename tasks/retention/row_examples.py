"""Delete the examples of values that validations keep: some unexpected values of each expectation.

Nobody can say whose rows they are, so all of a model's go. They are in the record of a turn in the ledger, in the files
of the turn in the workspace, and in its MLflow run, with Great Expectations' page. The stories of predictions go too.
"""

import json
import re
from collections.abc import Iterator, Mapping
from tempfile import TemporaryDirectory
from typing import Any

from everfit.blocks.content import PAGES_FOLDER
from everfit.blocks.errors import WorkspaceError
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.validate import Validation
from everfit.tasks.data.validation_page import validation_html
from everfit.tasks.ledger.redaction import redact_rows
from everfit.tasks.models.run_files import download_run_files, run_files
from everfit.tasks.pages.writing import STORIES_FOLDER, write_model, write_overview
from everfit.tasks.registry import tracking
from everfit.tasks.turns.context import Context

_EXAMPLES = "samples"
_IN_WORDS = re.compile(r"(\d of [\d,]+ \(\d+\.\d%\)), such as [^;)\"\n]*")
"""Examples in sentences, as everfit 0.2 and before wrote them."""

_DOCUMENTS, _PAGE = ("validation.json", "turn.json"), "validation.html"
_GONE = (
    "<p>The examples of values on this page were deleted with the rows of a key. validation.json has the counts.</p>"
)


def delete_row_examples(context: Context) -> int:
    """Delete all examples of values in the records of a model's validations; safe to repeat.

    The ledger comes last: if this is killed, the next run finds there whose files are left.

    Args:
        context: The model.

    Returns:
        The number of turns that had examples.
    """
    name = context.spec.name
    turns = [turn for turn in context.ledger.turns.of(name) if without_examples(turn.record) != turn.record]
    for path in _files_of_turns(context):
        _rewrite(context, path)
    for turn in turns:
        if run_id := tracking.find_turn_run(context.mlflow, name, turn.id):
            _rewrite_run(context, run_id, turn.record)
    redact_rows(context.ledger.store, name, without_examples)
    _write_pages(context)
    return len(turns)


def without_examples(content: Any) -> Any:
    """Return a document without the examples of values in it."""
    if isinstance(content, str):
        return _IN_WORDS.sub(r"\1", content)
    if isinstance(content, list):
        return [without_examples(part) for part in content]
    if not isinstance(content, dict):
        return content
    parts = {key: without_examples(part) for key, part in content.items()}
    return parts | {_EXAMPLES: []} if {"expectation", "observed", _EXAMPLES} <= parts.keys() else parts


def _files_of_turns(context: Context) -> Iterator[str]:
    """Yield the documents of turns and of accepted rows in the workspace."""
    filesystem, folder = context.workspace.filesystem, context.workspace.file(context.spec.name, "turns")
    for path in map(str, filesystem.find(folder)) if filesystem.exists(folder) else ():
        if path.rpartition("/")[2] in _DOCUMENTS:
            yield path


def _rewrite(context: Context, path: str) -> None:
    known = context.workspace.read(path)
    wanted = without_examples(content := json.loads(known))
    if wanted != content:
        indent = 1 if b"\n" in known else None
        context.workspace.write(path, json.dumps(wanted, indent=indent, sort_keys=True).encode())


def _rewrite_run(context: Context, run_id: str, record: Mapping[str, Any]) -> None:
    client = context.mlflow
    there = set(run_files(client, run_id))
    with TemporaryDirectory(prefix="everfit-examples-") as folder:
        for name in sorted(there & {*_DOCUMENTS}):
            content = json.loads(download_run_files(client, run_id, name, folder).read_text(encoding="utf-8"))
            if (wanted := without_examples(content)) != content:
                client.log_dict(run_id, wanted, name)
    if _PAGE in there:
        client.log_text(run_id, _page(context, without_examples(record)), _PAGE)


def _write_pages(context: Context) -> None:
    """Write the page of the model again, without the stories of predictions."""
    workspace, name = context.workspace, context.spec.name
    if not workspace.exists(workspace.file(PAGES_FOLDER, name)):
        return
    stories = workspace.file(PAGES_FOLDER, name, STORIES_FOLDER)
    if workspace.exists(stories):
        workspace.filesystem.rm(stories, recursive=True)
    write_overview(context.ledger, workspace, {name: write_model(context.ledger, workspace, name, afresh=True)})


def _page(context: Context, record: Mapping[str, Any]) -> str:
    """Return Great Expectations' page without examples, or a sentence if upkeep has deleted what it is made of."""
    if not record.get("batch") or not record.get("validation"):
        return _GONE
    batch, validation = Batch.recall(record["batch"]), Validation.recall(record["validation"])
    try:
        return validation_html(context.spec, batch, validation, context.workspace)
    except (WorkspaceError, OSError, ValueError):  # the spec's columns may have changed since
        return _GONE
