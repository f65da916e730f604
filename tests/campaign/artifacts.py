"""Change the stored files of a registered version at random; nothing but the registered files may be loaded."""

import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.tally import Tally
from everfit.blocks.errors import ArtifactError
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.ledger import Ledger
from everfit.tasks.scoring.loading import load_scorer

if TYPE_CHECKING:
    from mlflow import MlflowClient


def run_artifacts(
    client: "MlflowClient", ledger: Ledger, version: ModelVersion, stored: Path, *, seed: int, changes: int
) -> Tally:
    """Change stored files, and try to load the version after each change and after its repair.

    Args:
        client: Client of the registry.
        ledger: The ledger, which has recorded the version's files.
        version: The version.
        stored: Folder in which MLflow keeps the version's files.
        seed: Decides on the changes.
        changes: Number of changes.
    """
    chance, tally, kept = random.Random(seed), Tally(), stored.with_name(f"{stored.name}-kept")
    shutil.copytree(stored, kept)
    for number in range(changes):
        change = _change(stored, chance)
        tally.done["changed files"] += 1
        try:
            load_scorer(client, ledger, version)
            tally.broken.append(f"seed {seed}: a version was loaded after change {number}: {change}")
        except ArtifactError:
            pass
        except Exception as error:  # noqa: BLE001 - any other error was raised by code that had read a changed file
            tally.broken.append(f"seed {seed}: change {number} ({change}) was read: {type(error).__name__}: {error}")
        shutil.rmtree(stored)
        shutil.copytree(kept, stored)
    if load_scorer(client, ledger, version).version != version.version:
        tally.broken.append(f"seed {seed}: the repaired version can't be loaded")
    return tally


def _change(stored: Path, chance: random.Random) -> str:
    path = chance.choice(sorted(one for one in stored.rglob("*") if one.is_file()))
    content = bytearray(path.read_bytes())
    kind = chance.choice(["flipped", "cut", "longer", "replaced", "renamed", "added"])
    if kind == "flipped" and content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif kind == "cut" and content:
        del content[chance.randrange(len(content)) :]
    elif kind == "replaced":
        content[:] = chance.randbytes(chance.randrange(200))
    elif kind == "renamed":
        path.rename(path.with_name(f"{path.name}.bak"))
        return f"{path.name} {kind}"
    elif kind == "added":
        path = path.with_name(chance.choice(["model.onnx", "outliers.json", "more.py", "requirements.bak"]))
    else:
        content += b" "
    path.write_bytes(bytes(content))
    return f"{path.name} {kind}"
