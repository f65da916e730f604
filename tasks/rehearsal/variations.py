"""The changes of a spec that a rehearsal compares by default: small patches, each with a name. Pure."""

from collections.abc import Iterator
from typing import Any

import yaml

from everfit.blocks.errors import SpecError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.rehearsal.patches import NAME, patched

VARIATIONS = """
policy: training on all of history
training:
  window: all
  windows: []
---
policy: a less certain gain is enough
gate:
  comparison: superiority
  margin: null
  confidence: 0.8
---
policy: half the loss calls a turn
monitoring:
  max_loss: {half_the_loss}
"""
"""Patches in YAML, as files of `--policy` have them. `half_the_loss` is half of the spec's `monitoring.max_loss`."""


def variations(spec: ModelSpec) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the keys of each variation that changes the spec and leaves it valid.

    Args:
        spec: The spec as it is.
    """
    half = spec.monitoring.max_loss / 2
    for patch in yaml.safe_load_all(VARIATIONS.format(half_the_loss=f"{half:.4g}")):
        name = str(patch.pop(NAME))
        try:
            changed = patched(spec, patch, f"the variation {name!r}")
        except SpecError:  # such as a hold-out that leaves no rows of another window
            continue
        if changed.digest() != spec.digest():
            yield name, patch
