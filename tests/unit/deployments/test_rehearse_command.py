"""What `everfit rehearse` refuses before it starts anything, and what it says when it is stopped."""

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
    with pytest.raises(EverfitError, match=says):
        rehearse(_context(), "m", **options)


def test_one_that_is_stopped_says_that_it_can_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("everfit.deployments.cli.runs.run", stopped)
    with pytest.raises(KeyboardInterrupt):
        rehearse(_context(), "m")

    assert capsys.readouterr().err == "everfit: stopped; the same command goes on where it was\n"


def _context() -> Any:
    return typer.Context(typer.main.get_command(typer.Typer(callback=lambda: None, invoke_without_command=True)))
