"""No client outnumbers all others in a traffic trial, batch scoring is not limited, and what is left out is said."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.logs import EVENT_TIME, answered, log_answers, log_labels

from everfit.blocks.clients import ClientsPolicy
from everfit.blocks.trials import ShadowPolicy
from everfit.tasks.release.traffic.trial import TrialPlan, judge_trial, replay
from everfit.tasks.release.traffic.trial_evidence import read_evidence

SINCE = datetime(2024, 3, 1, tzinfo=UTC)


def test_a_client_with_most_of_the_rows_is_limited_in_a_shadow_and_batch_scoring_is_not(tmp_path: Path) -> None:
    for client, day, rows in (("batch", 1, 300), ("shop", 2, 50), ("flood", 3, 1_350)):
        given = answered(f"2024-03-0{day}", rows, days=1)
        log_answers(tmp_path, given, client=client)
        log = log_answers(tmp_path, given, version=2, arm="shadow", client=client)
        known = log_labels(tmp_path, given)
    plan = TrialPlan(id="t", model="m", challenger=2, champion=1, policy=ShadowPolicy(), metric="roc_auc", since=SINCE)
    state = replay(plan, [])

    evidence = read_evidence(
        log,
        known,
        state,
        SINCE + timedelta(days=9),
        event_time=EVENT_TIME,
        task="binary",
        classes=lambda _: ("0", "1"),
        maturity=timedelta(days=1),
        champion=1,
        clients=ClientsPolicy(max_share=0.5),
    )

    assert evidence.steps[-1].challenger_rows == pytest.approx(700, abs=60)
    assert evidence.left_out == pytest.approx(2_000, abs=120)  # of both arms
    assert (
        f"{evidence.left_out:,} answers to clients above their largest share"
        in judge_trial(state, evidence).reasons[-1]
    )
