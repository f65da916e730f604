"""What an earlier run of a rehearsal has done is used again only while nothing has changed that it depends on."""

from pathlib import Path

import pytest
from support.deliveries import SPEC

from everfit.blocks.spec import ModelSpec
from everfit.tasks.rehearsal.running import spec_identity


def test_results_depend_on_the_spec_and_on_the_users_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "own_rehearsed_metric.py"
    module.write_text("def profit(y, scores):\n    return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    spec = ModelSpec.model_validate(SPEC | {"training": {"metric": "own_rehearsed_metric:profit"}})
    then = spec_identity(spec)
    assert spec_identity(spec) == then
    assert spec_identity(ModelSpec.model_validate(SPEC)) != then

    module.write_text("def profit(y, scores):\n    return 2.0\n")
    assert spec_identity(spec) != then
