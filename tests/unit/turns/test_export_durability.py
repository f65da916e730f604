"""An exported turn survives a power cut: its files are on the disk before the folder has its name, and then that."""

import os
from pathlib import Path

import pytest

from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.package import DIGESTS_FILE, FILES, export_package


def test_an_export_is_flushed_before_and_after_it_gets_its_name(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, exported = Workspace(str(workspace)), tmp_path / "new" / "exported"
    for name in FILES:
        place.write(place.turn_file("model", "turn", name), b"{}")
    flushed: list[tuple[str, bool]] = []

    def note(descriptor: int) -> None:
        flushed.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, exported.exists()))

    monkeypatch.setattr(os, "fsync", note)

    export_package(place, "model", "turn", exported)

    before = {name for name, has_name in flushed if not has_name}
    assert before >= {*FILES, DIGESTS_FILE, "exported.part", tmp_path.name}
    assert flushed[-1] == ("new", True)
