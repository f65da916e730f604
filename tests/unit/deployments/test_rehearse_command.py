"""What `everfit rehearse` refuses before it starts anything."""

from typing import Any

import pytest
import typer

from everfit.blocks.errors import EverfitError
from everfit.deployments.cli.rehearse import rehearse


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"every": "0d"}, "--every '0d' is empty or negative; give a duration such as 7d"),
        ({"every": "week"}, "--every: 'week' is not a duration"),
        ({"write": True}, "--write changes a spec file, and 'm' is none"),
        ({"policy": ["absent.yaml"]}, "the policy 'absent.yaml' can't be read"),
        ({"since": "soon"}, "--from 'soon' is not a time"),
    ],
)
def test_what_can_be_seen_to_be_wrong_is_refused_at_once(options: dict[str, Any], says: str) -> None:
    context: Any = typer.Context(
        typer.main.get_command(typer.Typer(callback=lambda: None, invoke_without_command=True))
    )
    with pytest.raises(EverfitError, match=says):
        rehearse(context, "m", **options)
