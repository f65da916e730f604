"""A rollback changes what the service answers, and is done when it does."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from support.processes import everfit

from everfit.blocks.releasing import ReleasePolicy
from everfit.blocks.settings import Settings
from everfit.tasks.ledger import Ledger
from everfit.tasks.release.release import release

SPEC = {
    "name": "delays",
    "task": "binary",
    "source": {"kind": "files", "path": "flights.csv"},
    "columns": {"key": ["flight"], "event_time": "departs", "target": "late"},
}


def test_everfit_rollback_brings_the_former_answers_back(
    registry: Any, serve: Any, workspace: Path, good: dict[str, Any]
) -> None:
    ledger = Ledger.open(Settings())
    for source in ("first", "second"):
        registry.add("delays", source)
    release(ledger, registry.client, "delays", 1, expected_previous=None, reason="the first", actor="gate")
    service = serve("delays")
    body = {"records": [good]}
    before = service.client.post("/models/delays/predict", json=body).json()["predictions"][0]
    policy = ReleasePolicy(services=(service.url,), verify_timeout=timedelta(seconds=20))
    release(ledger, registry.client, "delays", 2, expected_previous=1, reason="better", actor="gate", policy=policy)
    worse = service.client.post("/models/delays/predict", json=body).json()["predictions"][0]

    spec = SPEC | {"release": {"services": [service.url], "verify_timeout": "20s"}}
    Path("delays.yaml").write_text(yaml.safe_dump(spec))
    ((code, out, err),) = everfit(["rollback", "delays.yaml", "--reason", "complaints", "--json"])

    assert code == 0, err
    entry = json.loads(out)
    assert (entry["version"], entry["previous_version"], entry["kind"], entry["state"]) == (
        1,
        2,
        "rollback",
        "verified",
    )
    after = service.client.post("/models/delays/predict", json=body).json()["predictions"][0]
    assert (before["model_version"], worse["model_version"], after["model_version"]) == (1, 2, 1)
    assert worse["probabilities"] != before["probabilities"] == after["probabilities"]
