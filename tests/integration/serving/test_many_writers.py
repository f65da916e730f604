"""Two services, one of them of two processes, and a batch run write the same log on S3 at once: each row once."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from support.s3 import reach

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.batch import manual_files
from everfit.tasks.predictions import prediction_log
from everfit.tasks.turns.context import Context

PROGRAM = """
import sys
from everfit.blocks.serving import ServingPolicy
from everfit.infra.serving import run
policy = ServingPolicy.model_validate({"follow_every": "0.1s", "drain_every": "0.2s"})
run(["delays"], port=int(sys.argv[1]), workers=2, policies={"delays": policy})
"""


@pytest.mark.long
def test_each_answer_and_each_row_of_the_batch_is_in_the_log_once(
    registry: Any,
    serve: Any,
    store: str,
    free_port: int,
    until: Any,
    made_up: Any,
    good: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reach(store, monkeypatch)
    monkeypatch.setenv("EVERFIT_WORKSPACE", "s3://models/many-writers")
    versions = [registry.add("delays", "first"), registry.add("delays", "second")]
    registry.champion("delays", versions[0])
    with Path("serve.log").open("wb") as log:
        workers = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(free_port)], stdout=log, stderr=log, env=os.environ
        )
    url = f"http://127.0.0.1:{free_port}"
    other = serve("delays")
    made_up(3000).to_parquet("rows.parquet")
    spec = {
        "name": "delays",
        "task": "binary",
        "source": {"kind": "files", "path": "rows.parquet"},
        "columns": {"key": ["flight"], "event_time": "departs", "target": "late"},
    }
    context = Context(ModelSpec.model_validate(spec), Settings())
    answered: list[tuple[str, int]] = []

    def ask(base: str) -> None:
        for _ in range(40):
            # A connection of its own each time, so that both processes are asked.
            one = httpx.post(f"{base}/models/delays/predict", json={"records": [good] * 5}, timeout=60).json()
            answered.extend(
                (prediction["prediction_id"], prediction["model_version"]) for prediction in one["predictions"]
            )

    def is_healthy() -> bool:
        assert workers.poll() is None, Path("serve.log").read_text()
        try:
            return httpx.get(f"{url}/health").status_code == 200
        except httpx.HTTPError:
            return False

    try:
        until(is_healthy, 90)
        client = ScoringServerClient("127.0.0.1", free_port)  # MLflow's own
        client.ping()
        rows = made_up(3)[["distance", "wind", "seats", "carrier", "freight"]]
        assert len(client.invoke(rows).get_predictions()) == 3
        threads = [threading.Thread(target=ask, args=(base,)) for base in (url, url, other.url)]
        batches = [threading.Thread(target=manual_files.score_file, args=(context, "rows.parquet"))]
        for thread in threads + batches:
            thread.start()
        registry.champion("delays", versions[1])
        for thread in threads + batches:
            thread.join()
        workers.send_signal(signal.SIGTERM)
        assert workers.wait(60) in {0, -signal.SIGTERM}
    finally:
        workers.kill()
        workers.wait()
    other.stop()

    frame = prediction_log.read(context.workspace.table("delays", "predictions"), None, "departs")
    assert frame["_prediction_id"].is_unique
    online = frame[frame["_client"] == "local"].set_index("_prediction_id")
    assert len(answered) == 600
    assert len(online) == 603
    assert online.loc[[one for one, _ in answered], "_model_version"].tolist() == [version for _, version in answered]
    assert (frame["_client"] == "file").sum() == 3000
    spools = Settings().state_dir / "serving" / "delays" / "spool"
    assert len([folder for folder in spools.iterdir() if folder.is_dir()]) == 3
    assert not any(path.stat().st_size for path in spools.glob("*/*.seg"))
