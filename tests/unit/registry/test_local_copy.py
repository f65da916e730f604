"""The files of a version on this machine, copied as MLflow's client downloads them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from everfit.blocks.errors import ArtifactError
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.artifacts import Digests
from everfit.tasks.registry.local_copy import LocalFiles, copy_local

VERSION = ModelVersion(model="delays", version=3, run_id="run", trained_until=datetime(2024, 1, 1, tzinfo=UTC))


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    for name in ("model/MLmodel", "model/data/model.skops", "run/reference/outliers.json", "run/converted/model.onnx"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return LocalFiles(tmp_path / "model", tmp_path / "run", {})


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("tags", "converted"), [({}, set()), ({"everfit.format": "onnx"}, {"model.onnx"})])
def test_the_detector_and_the_served_form_are_beside_the_model(
    files: LocalFiles, tmp_path: Path, tags: dict[str, str], converted: set[str]
) -> None:
    checked: list[Digests] = []
    copied = copy_local(
        LocalFiles(files.model, files.run, tags), VERSION, tmp_path / "to", lambda _, found: checked.append(found)
    )
    assert names(copied) == {"MLmodel", "data/model.skops", "outliers.json"} | converted
    assert len(checked[0]) == len(names(copied))


def test_files_that_are_not_the_recorded_ones_are_refused(files: LocalFiles, tmp_path: Path) -> None:
    def refuse(_: ModelVersion, found: Digests) -> None:
        raise ArtifactError(f"{len(found)} files differ")

    with pytest.raises(ArtifactError, match="3 files differ"):
        copy_local(files, VERSION, tmp_path / "to", refuse)


def test_a_served_form_that_is_gone_is_an_error(files: LocalFiles, tmp_path: Path) -> None:
    (tmp_path / "run" / "converted" / "model.onnx").unlink()
    with pytest.raises(OSError, match=r"model\.onnx"):
        copy_local(LocalFiles(files.model, files.run, {"everfit.format": "onnx"}), VERSION, tmp_path / "to", print)
