"""A client that probes the model is flagged, logged, counted and, where the spec says so, refused; nobody else is."""

from pathlib import Path
from typing import Any

import numpy as np

from everfit.infra.serving.query_attacks import QueryAttackDetector
from everfit.tasks.predictions import prediction_log
from everfit.tasks.storage.tables import Table

NUMBERS = {"distance", "wind"}


def usual(random: Any, rows: int) -> dict[str, list[Any]]:
    """Inputs as they come: numbers, and categories of few values."""
    return {
        "distance": random.uniform(100, 3000, rows).round(1).tolist(),
        "wind": [None if one > 20 else one for one in random.normal(10, 6, rows).tolist()],
        "seats": random.integers(50, 400, rows).tolist(),
        "carrier": random.choice(["AA", "B6", "UA"], rows).tolist(),
    }


def test_usual_clients_and_retries_are_not_flagged() -> None:
    random = np.random.default_rng(0)
    detector = QueryAttackDetector(100, 0.8, 60)
    for _ in range(1000):
        assert not detector.add_request("shop", usual(random, 1), 1, NUMBERS)
        detector.add_predictions("shop", random.dirichlet([1, 1], 1))
    assert not detector.add_request("batch", usual(random, 5000), 5000, NUMBERS)
    same = usual(random, 1)
    assert not any(detector.add_request("retries", same, 1, NUMBERS) for _ in range(1000))


def test_small_changes_and_answers_at_the_boundary_are_flagged() -> None:
    random = np.random.default_rng(0)
    now = [0.0]
    detector = QueryAttackDetector(100, 0.8, 60, clock=lambda: now[0])
    base = {name: values[0] for name, values in usual(random, 1).items()}
    requested = 0
    while not detector.add_request(
        "gradient", {**{k: [v] for k, v in base.items()}, "distance": [float(requested)]}, 1, NUMBERS
    ):
        requested += 1
        assert requested < 200
    noisy = ({"a": [1000 * (1 + 1e-4 * random.normal())], "b": [5 * (1 + 1e-4 * random.normal())]} for _ in range(300))
    assert any(detector.add_request("noise", one, 1, "ab") for one in noisy)
    for _ in range(100):
        detector.add_request("edge", usual(random, 1), 1, NUMBERS)
        detector.add_predictions("edge", np.array([[0.51, 0.49]]))
    assert detector.add_request("edge", usual(random, 1), 1, NUMBERS)
    assert not detector.add_request("shop", usual(random, 1), 1, NUMBERS)
    assert detector.flagged == 3
    now[0] = 61.0
    assert not detector.add_request("edge", usual(random, 1), 1, NUMBERS)  # it has come back to usual inputs


def test_a_flagged_client_is_logged_and_counted_or_refused(
    registry: Any, serve: Any, workspace: Path, good: dict[str, Any]
) -> None:
    registry.champion("delays", registry.add("delays", "first"))
    for probing in ("log", "refuse"):
        service = serve("delays", probing=probing, probing_rows=20)
        statuses = [
            service.client.post(
                "/models/delays/predict", json={"records": [{**good, "distance": 500.0 + step}]}
            ).status_code
            for step in range(40)
        ]
        metrics = service.client.get("/metrics").text
        assert 'everfit_probing_clients{model="delays"} 1.0' in metrics
        assert statuses[:10] == [200] * 10
        assert statuses[-1] == (200 if probing == "log" else 429)
        service.stop()

    log = prediction_log.read(Table(str(workspace / "delays" / "predictions")), None, "departs")
    flagged = log["_flag"].value_counts()
    assert flagged["probing"] >= 15
    assert log["_flag"].isna().sum() >= 20
