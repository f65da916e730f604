"""The checks of the gate: one module each, which declares its `CHECK`.

A new module in this folder is a new check; nothing else lists it.
"""

from importlib import import_module
from pkgutil import iter_modules

from everfit.tasks.gate.check import GateCheck


def _declared() -> tuple[GateCheck, ...]:
    names = sorted(module.name for module in iter_modules(__path__))
    checks: list[GateCheck] = [import_module(f"{__name__}.{name}").CHECK for name in names]
    return tuple(sorted(checks, key=lambda check: check.place))


CHECKS: tuple[GateCheck, ...] = _declared()
"""In the order in which a person would ask, which is that of `place`."""
