"""What the README and the Makefile say can be done can be done."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import Said, everfit

from everfit.deployments.cli.commands import app

ROOT = Path(__file__).parents[2]


def code_of(document: str) -> str:
    """The code of a Markdown document: fenced, indented and inline."""
    text = (ROOT / document).read_text() if (ROOT / document).exists() else ""
    fenced = re.findall(r"^```.*?\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^ {4}(\S.*)$", text, flags=re.MULTILINE)
    inline = re.findall(r"`([^`\n]+)`", text)
    return "\n".join([*fenced, *indented, *inline])


def commands(program: str) -> list[str]:
    code = "\n".join(code_of(document) for document in ("README.md", "CONTRIBUTING.md"))
    return sorted(set(re.findall(rf"^\s*(?:\$ )?(?:\.venv/bin/)?{program} ([a-z][a-z-]*)", code, flags=re.MULTILINE)))


@pytest.fixture(scope="module")
def listing() -> list[tuple[str, str]]:
    """What `make` alone prints: targets and what they do."""
    printed = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    return re.findall(r"^  make (\S+) +(\S.*)$", printed.stdout, flags=re.MULTILINE)


def test_make_alone_lists_every_target_with_a_line(listing: list[tuple[str, str]]) -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    parts = re.search(r"^check: (.*?) ##", makefile, flags=re.MULTILINE)
    assert phony is not None
    assert parts is not None
    listed = [target for target, _ in listing]
    assert listed == [target for target in phony[1].split() if target in listed or target not in parts[1].split()]
    assert {"install", "demo", "test", "check", "fmt", "bench", "wheel", "clean"} <= {target for target, _ in listing}


def test_the_readme_is_there_and_names_the_two_commands() -> None:
    assert {"demo", "test"} <= set(commands("make"))


@pytest.mark.parametrize("target", commands("make"))
def test_each_make_command_of_the_documents_is_a_target(target: str, listing: list[tuple[str, str]]) -> None:
    assert target in [name for name, _ in listing]


@pytest.fixture(scope="module")
def helped() -> dict[str, Said]:
    """What each command of the documents says of itself, in one process, as starting one takes longest."""
    return dict(zip(commands("everfit"), everfit(*([name, "--help"] for name in commands("everfit"))), strict=True))


@pytest.mark.parametrize("command", commands("everfit"))
def test_each_everfit_command_of_the_documents_is_a_command(command: str, helped: dict[str, Said]) -> None:
    code, out, err = helped[command]
    assert (code, err) == (0, "")
    assert f"everfit {command}" in out


def test_the_command_is_installed() -> None:
    console = Path(sys.executable).with_name("everfit")
    said = subprocess.run([console, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert [command for command in commands("everfit") if f" {command} " not in said] == []


def test_each_command_is_in_a_panel_and_says_what_it_does_in_one_short_line() -> None:
    for command in app.registered_groups:
        assert command.typer_instance is not None
        for registered in command.typer_instance.registered_commands:
            assert registered.callback is not None
            first, _, rest = str(registered.callback.__doc__).partition("\n")
            assert isinstance(registered.rich_help_panel, str), registered.callback.__name__
            assert len(first) <= 62, first  # what an 80-column terminal shows in one line
            assert first.endswith(".")
            assert not rest or rest.startswith("\n")


def test_a_shell_completes_the_commands() -> None:
    console = Path(sys.executable).with_name("everfit")
    body = {"_EVERFIT_COMPLETE": "complete_bash", "COMP_WORDS": "everfit roll", "COMP_CWORD": "1"}
    completed = subprocess.run(
        [console], env=os.environ | body, capture_output=True, text=True, timeout=60, check=False
    ).stdout
    assert completed.split() == ["rollback"]


def test_the_readme_tells_of_every_flow() -> None:
    flows = {path.stem.removesuffix("_flow").replace("_", "-") for path in (ROOT / "flows").glob("[a-z]*.py")}
    assert flows - set(re.findall(r"`([a-z-]+)`", (ROOT / "README.md").read_text())) == set()


def test_ci_runs_what_a_person_runs() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith(("#", "set ", "cd "))] == ["make test"]
