"""Find modules that import each other in a circle, at run time, in a function, or for type checking alone.

`python -m support.import_cycles` prints the first circle and exits with 1 if there is one. The contracts of
import-linter hold the order of folders and rooms; this holds the modules within a room.
"""

import sys
from graphlib import CycleError, TopologicalSorter

import grimp


def first_cycle(imports: dict[str, set[str]]) -> list[str]:
    """Return modules of which each imports the next, the first one again at the end; empty without a circle.

    Args:
        imports: The modules that each module imports.
    """
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle[::-1]
    return []


def imports_of_everfit() -> dict[str, set[str]]:
    """Return the modules that each module of everfit imports, by whichever kind of import.

    Raises:
        RuntimeError: Only the top of the package is found, as where the mapping of its folders hides the others.
    """
    graph = grimp.build_graph("everfit", cache_dir=None)
    if "everfit.tasks.data.ingest" not in graph.modules:
        raise RuntimeError("the folders of everfit are not found; set PYTHONPATH=build/types:tests")
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


if __name__ == "__main__":
    cycle = first_cycle(imports_of_everfit())
    print(*cycle, sep=" -> ", end="\n" if cycle else "")
    sys.exit(bool(cycle))
