"""An Evidently that breaks, in the processes that are started from now on."""

import os
import subprocess
from pathlib import Path

import pytest

from everfit.tasks.monitoring.report import report_process

_BROKEN = """
from unittest.mock import MagicMock

class Broken({base}):
    __module__ = "evidently.broken"

class Report(MagicMock):
    def run(self, *_, **__):
        raise Broken("no such metric")

def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return MagicMock(name=name)
"""
_PARTS = ("metrics", "presets", "descriptors")


def break_evidently(folder: Path, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    """Let Evidently raise an error of its own, of this base, whenever a report is made.

    It is only what everfit asks for by name: to import the real one takes longer than all else in these tests.
    """
    place = folder / "broken" / "evidently"
    place.mkdir(parents=True)
    broken = _BROKEN.format(base=base)
    for name in ("__init__", *_PARTS):
        (place / f"{name}.py").write_text(broken, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(place.parent), prepend=os.pathsep)
    monkeypatch.setattr(report_process, "subprocess", subprocess)  # a forked process has the real one already
