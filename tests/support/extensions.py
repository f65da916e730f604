"""A user's own package, as it lies in an environment in which it is installed."""

from collections.abc import Mapping
from pathlib import Path


def install(folder: Path, module: str, code: str, entry_points: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Write a module and the metadata of its distribution into a folder of `sys.path`.

    Args:
        folder: On `sys.path`.
        module: The module's name, and that of its distribution.
        code: The module's text.
        entry_points: By group, the name and target of each entry point.
    """
    (folder / f"{module}.py").write_text(code)
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in names.items())
        for group, names in (entry_points or {}).items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
