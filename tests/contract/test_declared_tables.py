"""The tables of verdicts, evidence areas and steps in the documents are what the code declares."""

import pytest
from prefect import Task
from support.declared_tables import DOCUMENTS, STEPS, TABLES, areas, with_tables

from everfit import tasks
from everfit.tasks.triage.area import Area
from everfit.tasks.triage.signals import Signals


@pytest.mark.parametrize("document", sorted({name for name, _ in TABLES}))
def test_the_tables_are_what_the_code_declares(document: str) -> None:
    content = (DOCUMENTS / document).read_text(encoding="utf-8")
    assert with_tables(document, content) == content, "run `make docs`"


def test_every_area_of_the_signals_is_in_the_table() -> None:
    given = Signals.model_construct()
    fields = {name for name in Signals.model_fields if isinstance(getattr(given, name, None), Area | tuple)}
    assert fields == {area.name for area in areas()}


def test_every_public_step_is_in_the_table() -> None:
    steps = {name for name in tasks.__all__ if isinstance(getattr(tasks, name), Task)}
    assert steps | {"open_context", "open_turn"} == set(STEPS)


def test_a_document_without_a_place_for_its_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place for the table of 'evidence areas'"):
        with_tables("flows.md", "# The flows\n")
