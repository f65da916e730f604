"""Nothing from outside reaches a terminal as a control sequence, whichever function prints it."""

import io
import re
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console
from support.processes import everfit

from everfit.deployments.cli.safe_streams import safe_streams

ATTACK = "\x1b]0;title\x07\x1b[2Jcleared\rover\u202ereversed\x9b2J"
SHOWN = "�]0;title��[2Jcleared�over�reversed�2J"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_what_is_printed_holds_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, name: str
) -> None:
    stream.seek(0)
    stream.truncate()
    monkeypatch.setattr(sys, name, stream)
    with safe_streams():
        print(ATTACK, file=getattr(sys, name))
        typer.echo(f"name\t{ATTACK}", err=name == "stderr")
        Console(file=getattr(sys, name), width=120).print(ATTACK, markup=False)
    assert stream.getvalue().count("cleared") == 3
    assert not set(re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())) & set("\x1b\x07\r\x9b\u202e")
    assert stream.getvalue().startswith(SHOWN + "\nname\t")


def test_a_terminal_keeps_styles_and_a_pipe_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        monkeypatch.setattr(sys, "stdout", stream)
        with safe_streams():
            sys.stdout.writelines(["\x1b[1mbold\x1b[0m", "\x1b[2J"])
    assert terminal.getvalue() == "\x1b[1mbold\x1b[0m�[2J"
    assert pipe.getvalue() == "�[1mbold�[0m�[2J"


@pytest.mark.slow
def test_a_hostile_name_of_a_column_does_nothing_when_a_spec_is_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{number},2024-01-{number % 28 + 1:02d} 00:00:00,{number % 7}.5,{number % 2}" for number in range(300)]
    Path("rows.csv").write_text("\n".join(["id,at,a\u202ereversed,y", *rows]), encoding="utf-8")
    (said,) = everfit(["init", "rows.csv", "--target", "y", "--name", "m"])
    assert "a�reversed" in said[1]
    assert "\u202e" not in said[1] + said[2]
