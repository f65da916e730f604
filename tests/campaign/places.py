"""A folder in which commands run on a disk that can fail, and the workspaces that they begin with."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import yaml

from campaign.commands import run_command
from campaign.failing_disk import FailingDisk
from campaign.left_behind import Left, check_listed, left_behind

MODEL = "deliveries.yaml"
BY = ("--by", "ann", "--reason", "test")
_KILLED = (-signal.SIGKILL, "", "")


class Place:
    """A folder in which commands run, on a disk that can fail, and the workspaces that they begin with."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._bases = folder / "place", folder / "bases"
        self._bases.mkdir(exist_ok=True)
        self.disk = FailingDisk(self.folder, folder)
        self.environment = {
            "EVERFIT_WORKSPACE": str(self.workspace),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.workspace / 'mlflow.db'}",
        }

    @property
    def workspace(self) -> Path:
        return self.folder / ".everfit"

    def begin_with(self, base: str) -> None:
        """Let the folder be as a base is, which is made first if need be."""
        kept = self._bases / base
        os.chdir(self.folder.parent)  # the folder is deleted and made again
        if not kept.exists():
            _BASES[base](self)
            shutil.copytree(self.folder, kept)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(kept, self.folder)

    def run(self, words: tuple[str, ...]) -> tuple[int, str, str]:
        """Run a command, and return its exit code and what it wrote; those of a killed one are `_KILLED`."""
        os.chdir(self.folder)
        return run_command(self.named(words), self.environment) or _KILLED

    def left(self) -> Left:
        """Read what the folder has: workspace, ledger and registry, and the folders that commands made beside them."""
        left = left_behind(self.workspace)
        for name in ("exported", "kept"):
            check_listed(self.folder / name, left)
        return left

    def must(self, *words: str) -> None:
        """Run a command that has to succeed."""
        code, out, err = self.run(words)
        if code:
            raise RuntimeError(f"{words} ended with {code}: {out} {err}")

    def named(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Return words with the ids of turns, which must not be read on a disk that fails."""
        return tuple(self._word(word) for word in words)

    def _word(self, word: str) -> str:
        if word not in {"TURN", "LAST"}:
            return word
        turns = self.left().turns
        return [turn for turn, state in turns.items() if word == "LAST" or state == "AwaitingApproval"][-1]


def _data(place: Place) -> None:
    from support.deliveries import SPEC, deliveries, write_month
    from support.prepared import copy_empty_mlflow

    os.chdir(place.folder.parent)
    shutil.rmtree(place.folder, ignore_errors=True)
    place.workspace.mkdir(parents=True)
    copy_empty_mlflow(place.workspace / "mlflow.db")
    winter = deliveries("2024-01-01", 60)
    winter.loc[5, "distance"] = float("inf")  # for quarantine
    write_month(place.folder, "winter", winter)
    (place.folder / MODEL).write_text(yaml.safe_dump(SPEC))


def _champion(place: Place) -> None:
    from support.deliveries import deliveries, write_month

    place.begin_with("data")
    place.must("train", MODEL, "--until", "2024-03-01")
    spring = deliveries("2024-03-01", 40, seed=1, strength=-3.0)
    write_month(place.folder, "spring", spring)
    spring.loc[100:120, ["id", "late"]].to_csv(place.folder / "labels.csv", index=False)


def _waiting(place: Place) -> None:
    from support.deliveries import SPEC

    place.begin_with("champion")
    (place.folder / MODEL).write_text(yaml.safe_dump(SPEC | {"gate": {"approval": "always"}}))
    place.must("train", MODEL, "--until", "2024-04-05")


def _two(place: Place) -> None:
    place.begin_with("waiting")
    place.must("approve", MODEL, "TURN", *BY)


def _on_trial(place: Place) -> None:
    from support.deliveries import SPEC

    place.begin_with("champion")
    (place.folder / MODEL).write_text(yaml.safe_dump(SPEC | {"release": {"strategy": "shadow"}}))
    place.must("train", MODEL, "--until", "2024-04-05")


def _exported(place: Place) -> None:
    place.begin_with("two")
    place.must("export", "LAST", "exported")
    (turn,) = place.named(("LAST",))
    shutil.rmtree(place.workspace / "deliveries" / "turns" / turn)


def _scored(place: Place) -> None:
    place.begin_with("champion")
    place.must("score", MODEL, "--since", "2024-03-01", "--until", "2024-04-05")
    place.must("labels", MODEL, "--until", "2024-03-20")


def _backed_up(place: Place) -> None:
    place.begin_with("scored")
    place.must("backup", MODEL, "--to", "kept")
    shutil.move(place.folder / "kept", place.folder.parent / "kept")
    _data(place)
    shutil.rmtree(place.folder / "deliveries")
    shutil.move(place.folder.parent / "kept", place.folder / "kept")


_BASES: dict[str, Callable[[Place], None]] = {
    "data": _data,
    "champion": _champion,
    "waiting": _waiting,
    "two": _two,
    "on trial": _on_trial,
    "exported": _exported,
    "scored": _scored,
    "backed up": _backed_up,
}
