"""An Evidently that breaks, in the processes that are started from now on."""

from pathlib import Path

import pytest

_BROKEN = """
import warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import evidently

class Broken({base}):
    __module__ = "evidently.broken"

def raises(*_, **__):
    raise Broken("no such metric")

evidently.Report.run = raises
"""


def break_evidently(folder: Path, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    """Let Evidently raise an error of its own, of this base, whenever a report is made."""
    place = folder / "broken"
    place.mkdir()
    (place / "sitecustomize.py").write_text(_BROKEN.format(base=base), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(place))
