"""Print what CHANGELOG.md says of a version: `python -m support.release_notes [VERSION]`."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def notes_of(changelog: str, version: str) -> str:
    """Return the section of a version, without its heading.

    Raises:
        ValueError: If there is no such section, or it is empty.
    """
    sections = re.split(r"(?m)^## (.+)$", changelog)
    for heading, body in zip(sections[1::2], sections[2::2], strict=True):
        if heading.split()[0].strip("[]") == version and body.strip():
            return body.strip()
    raise ValueError(f"CHANGELOG.md has no notes of version {version!r}: add them under '## {version}'")


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print(notes_of((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), (*sys.argv[1:], project["version"])[0]))
