"""How a model is served: limits, durability, and what is done with inputs that it doesn't know."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from everfit.blocks.policy import Duration, Policy


class ServingPolicy(Policy):
    """How a model is served.

    Attributes:
        max_rows: Rows of one request.
        max_body: Bytes of one request's body.
        max_waiting: Rows that may wait for their prediction; more are answered 503.
        max_concurrent: Requests that one client may have open at once.
        rate: Requests per second of one client, or no limit.
        new_categories: `refuse` answers 4xx to a category that training hasn't seen; `accept` leaves it to the model.
        outlier_above: An input more unlike the training data than this share of usual ones is flagged.
        outliers: `log` answers flagged inputs and counts them; `refuse` answers 4xx.
        probing: `log` flags and counts the requests of clients that seem to probe the model, by many inputs that differ
            little or answers near a boundary; `refuse` answers 429; `ignore` doesn't look.
        probing_rows: By how many of its last inputs a client is judged.
        probing_share: From which share of them on.
        probing_for: How long a client stays flagged.
        durability: `process` writes each micro-batch before it is answered and outlives SIGKILL; a power cut may lose
            what was answered since the last drain. `disk` flushes it as well and outlives that too, for one flush of
            the disk (0.2 to 10 ms) per micro-batch.
        spool_bytes: What the spool may hold while the prediction log can't be reached; then requests are answered 503.
        shadow: Whether a challenger predicts what the champion answers; its predictions are logged, never given.
        drain_every: How often the spool is moved into the prediction log.
        follow_every: How often the registry is asked for a new champion.
    """

    max_rows: int = Field(default=10_000, ge=1, description="Rows of one request.")
    max_body: int = Field(default=16 * 2**20, ge=1024, description="Bytes of one request's body.")
    max_waiting: int = Field(default=50_000, ge=1, description="Rows that may wait for their prediction.")
    max_concurrent: int = Field(default=256, ge=1, description="Requests that one client may have open at once.")
    rate: float | None = Field(default=None, gt=0, description="Requests per second of one client.")
    new_categories: Literal["refuse", "accept"] = Field(
        default="refuse", description="Categories not seen in training."
    )
    outlier_above: float = Field(default=0.999, ge=0, le=1, description="From which outlier score an input is flagged.")
    outliers: Literal["log", "refuse"] = Field(default="log", description="What is done with flagged inputs.")
    probing: Literal["log", "refuse", "ignore"] = Field(default="log", description="What is done with probing clients.")
    probing_rows: int = Field(default=200, ge=20, description="By how many of its last inputs a client is judged.")
    probing_share: float = Field(default=0.8, gt=0, le=1, description="From which share of them on it is flagged.")
    probing_for: Duration = Field(default=timedelta(minutes=5), description="How long a client stays flagged.")
    durability: Literal["process", "disk"] = Field(
        default="process", description="What an answered prediction outlives."
    )
    spool_bytes: int = Field(default=2**30, ge=2**16, description="What the spool may hold.")
    shadow: bool = Field(default=False, description="A challenger predicts too, and is not given as an answer.")
    drain_every: Duration = Field(default=timedelta(seconds=5), description="How often the spool is drained.")
    follow_every: Duration = Field(default=timedelta(seconds=1), description="How often the registry is asked.")
