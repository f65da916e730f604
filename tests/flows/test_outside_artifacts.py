"""Texts of data and people can't act on the pages of Prefect, whoever leaves the artifact."""

import ast
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client

from everfit.tasks.steps.artifacts import leave_page, leave_table

SCRIPT = "<script>alert(1)</script>"
LINK = "![x](https://example.com/seen.png)"


@pytest.mark.usefixtures("prefect_server")
def test_a_table_and_a_description_hold_no_markup() -> None:
    @flow
    def leaving() -> None:
        leave_table(
            "outside-table",
            [
                {"expectation": f"in_set(['{SCRIPT}', '{LINK}', '\x1b[2J'])", "<b>": 3},
                {"<b>": "<a>(javascript:alert(1))"},
            ],
            f"refused: {SCRIPT} {LINK}",
        )
        leave_page("outside-page", "# A page", f"Promoted: {SCRIPT} {LINK}")

    leaving()

    with get_client(sync_client=True) as client:
        found = {one.key: one for one in client.read_artifacts() if str(one.key).startswith("outside-")}
    for one in found.values():
        assert "<script" not in str(one.description).replace(r"\<", "")
        assert "](" not in str(one.description).replace(r"\]", "")
    table = str(found["outside-table"].data)
    assert not {"<", "](", "\x1b", "u001b"} & {part for part in ("<", "](", "\x1b", "u001b") if part in table}
    assert "[script]alert(1)[/script]" in table


@pytest.mark.usefixtures("prefect_server")
def test_a_link_follows_the_description_of_a_table() -> None:
    @flow
    def leaving() -> None:
        leave_table("linked-table", [{"a": 1}], "passed", "\n\n[The page of m](https://pages.example/m/)")
        leave_table("linked-only", [{"a": 1}], link="\n\n[The page of m](https://pages.example/m/)")

    leaving()

    with get_client(sync_client=True) as client:
        found = {one.key: one.description for one in client.read_artifacts() if str(one.key).startswith("linked-")}
    assert found == {
        "linked-table": "passed [The page of m](https://pages.example/m/)",
        "linked-only": "[The page of m](https://pages.example/m/)",
    }


def test_every_artifact_is_left_by_the_functions_that_escape() -> None:
    root = Path(__file__).parents[2]
    creating = {"create_markdown_artifact", "create_table_artifact", "create_link_artifact", "create_image_artifact"}
    by_hand = []
    for folder in ("tasks", "flows", "infra", "deployments", "blocks"):
        for path in (root / folder).rglob("*.py"):
            imported = [one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.ImportFrom)]
            if any(creating & {name.name for name in one.names} for one in imported):
                by_hand.append(path.relative_to(root).as_posix())
    assert by_hand == ["tasks/steps/artifacts.py"]
