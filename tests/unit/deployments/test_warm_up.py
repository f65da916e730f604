"""What commands do while Prefect's temporary server is starting."""

from pathlib import Path

import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.deliveries import SPEC

from everfit.blocks.errors import SpecError
from everfit.deployments.cli.runs import warm_up
from everfit.tasks.core.spec_loading import load_spec


def test_a_named_spec_is_not_asked_of_a_server_that_is_only_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "deployments" / "models" / "deliveries.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(SPEC | {"monitoring": {"report": "never"}}))

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        with pytest.raises(SpecError, match="can't say whether"):
            load_spec("deliveries")
        warm_up("deliveries")
