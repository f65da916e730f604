"""What the stories of the flows begin with."""

from pathlib import Path

import pytest
import yaml
from support.deliveries import SPEC, deliveries, write_month


@pytest.fixture
def model(workspace: Path, mlflow_uri: str) -> str:
    """A spec file, and 60 days of deliveries from the first of January."""
    folder = workspace.parent
    write_month(folder, "winter", deliveries("2024-01-01", 60))
    path = folder / "deliveries.yaml"
    path.write_text(yaml.safe_dump(SPEC))
    return str(path)
