"""The files of infra/, and the programs that they start."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parents[2] / "infra"
ROOT = INFRA.parent
BIN = Path(sys.executable).parent
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|KEY")


def load(name: str) -> Any:
    return yaml.safe_load((INFRA / name).read_text())


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((INFRA / name).read_text()))


def run(*command: str) -> str:
    done = subprocess.run([str(BIN / command[0]), *command[1:]], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def texts(content: Any) -> Iterator[str]:
    """Every text in a document."""
    match content:
        case dict():
            for value in content.values():
                yield from texts(value)
        case list():
            for value in content:
                yield from texts(value)
        case str():
            yield content


def stages() -> dict[str, tuple[str, str]]:
    """What each stage of the Dockerfile begins with, and its lines."""
    text = re.sub(r"\\\n\s*", " ", (INFRA / "docker" / "Dockerfile").read_text())
    parts = re.split(r"^FROM (\S+) AS (\S+)\n", text, flags=re.MULTILINE)[1:]
    return {parts[at + 1]: (parts[at], parts[at + 2]) for at in range(0, len(parts), 3)}
