"""What a person types to serve a model, to ask where an answer came from, and to hand rows and labels over."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import yaml
from support.processes import everfit

from everfit.blocks.settings import Settings
from everfit.tasks.ledger import Ledger
from everfit.tasks.release.release import release

SPEC = {
    "name": "delays",
    "task": "binary",
    "source": {"kind": "files", "path": "flights.csv"},
    "columns": {"key": ["flight"], "event_time": "departs", "target": "late"},
    "release": {"serving": {"max_rows": 1, "drain_every": "0.1s"}},
}


def test_serve_trace_labels_and_score_by_hand(
    registry: Any, free_port: int, until: Any, made_up: Any, good: dict[str, Any], tmp_path: Path
) -> None:
    registry.add("delays", "first")
    registry.add("another", "first")
    release(Ledger.open(Settings()), registry.client, "delays", 1, expected_previous=None, reason="first", actor="gate")
    Path("delays.yaml").write_text(yaml.safe_dump(SPEC))
    command = [Path(sys.executable).with_name("everfit"), "serve", "delays.yaml", "--port", str(free_port)]
    with Path("serve.log").open("wb") as log:
        serving = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ)
    url = f"http://127.0.0.1:{free_port}"

    def is_healthy() -> bool:
        assert serving.poll() is None, Path("serve.log").read_text()
        try:
            return httpx.get(f"{url}/health").status_code == 200
        except httpx.HTTPError:
            return False

    until(is_healthy, 90)
    record = good | {"flight": 7, "departs": "2013-10-01T09:00:00Z"}
    answer = httpx.post(f"{url}/models/delays/predict", json={"records": [record]})
    assert answer.status_code == 200, answer.text
    (reported,) = answer.json()["predictions"]
    # The spec's limit is the service's.
    assert httpx.post(f"{url}/models/delays/predict", json={"records": [record] * 2}).status_code == 413
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(30) in {0, -signal.SIGTERM}

    pd.DataFrame({"flight": [7, 99_999], "late": [1, 0]}).to_csv("truth.csv", index=False)
    pd.DataFrame({"late": [1, 0]}).to_csv("keyless.csv", index=False)
    made_up(50).to_parquet("tomorrow.parquet")
    trace = ["trace", reported["prediction_id"]]
    said = everfit(
        [*trace, "--json"],
        ["labels", "delays.yaml", "truth.csv", "--json"],
        ["labels", "delays.yaml", "truth.csv"],
        [*trace, "--model", "delays.yaml", "--json"],
        trace,
        ["score", "delays.yaml", "--input", "tomorrow.parquet", "--json"],
        ["score", "delays.yaml", "--input", "tomorrow.parquet", "--json"],
        ["trace", "01900000-0000-7000-8000-000000000000"],
        ["trace", "nonsense"],
        ["labels", "delays.yaml", "keyless.csv"],
        ["score", "delays.yaml", "--input", "tomorrow.parquet", "--shadow"],
        ["token", "two words"],
        ["serve", "delays.yaml", "--host", "0.0.0.0"],  # noqa: S104 - it must be refused
    )
    assert [code for code, _, _ in said] == [0] * 7 + [2] * 6, said
    origin = json.loads(said[0][1])
    assert origin["version"]["version"] == reported["model_version"] == origin["release"]["version"] == 1
    assert origin["prediction"]["flight"] == 7
    assert origin["label"] is None
    labelled = json.loads(said[1][1])
    assert (labelled["recorded"]["added"], labelled["unmatched"]) == (2, 1)
    assert "0 new labels, 0 corrected, 2 already known" in said[2][1]
    assert json.loads(said[3][1])["label"]["label"] == "1"
    for expected in ("delays version 1", "release", "first", "label"):
        assert expected in said[4][1]
    assert [json.loads(one[1])["added"] for one in said[5:7]] == [50, 0]
    for (_, out, err), reason in zip(
        said[7:],
        ["has no prediction", "is not the id of a prediction", "'flight'", "--shadow", "two words", "token file"],
        strict=True,
    ):
        assert not out
        assert err.count("\n") == 1
        assert reason in err
