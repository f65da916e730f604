"""How a model is served: limits, durability, and what is done with inputs that it doesn't know."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from everfit.blocks.policy import Duration, Policy


class ServingPolicy(Policy):
    """How a model is served."""

    max_rows: int = Field(default=10_000, ge=1, description="How many rows a request may have.")
    max_body: int = Field(default=16 * 2**20, ge=1024, description="How many bytes a request's body may have.")
    max_waiting: int = Field(
        default=50_000, ge=1, description="How many rows may wait for their prediction; more are answered 503."
    )
    max_concurrent: int = Field(default=256, ge=1, description="How many requests one client may have open at once.")
    rate: float | None = Field(
        default=None, gt=0, description="How many requests a second one client may send; no limit by default."
    )
    new_categories: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="`refuse` answers 422 to a category that training hasn't seen; `accept` leaves it to the model.",
    )
    outlier_above: float = Field(
        default=0.999,
        ge=0,
        le=1,
        description="From which outlier score on an input is flagged: the share of usual rows that are less unlike the "
        "training data.",
    )
    outliers: Literal["log", "refuse"] = Field(
        default="log", description="`log` answers flagged inputs and counts them; `refuse` answers 422."
    )
    probing: Literal["log", "refuse", "ignore"] = Field(
        default="log",
        description="`log` flags and counts the requests of clients that seem to probe the model, by many inputs that"
        " differ little or answers near a boundary; `refuse` answers 429; `ignore` doesn't look.",
    )
    probing_rows: int = Field(default=200, ge=20, description="By how many of its last inputs a client is judged.")
    probing_share: float = Field(default=0.8, gt=0, le=1, description="From which share of them on it is flagged.")
    probing_for: Duration = Field(default=timedelta(minutes=5), description="How long a client stays flagged.")
    durability: Literal["process", "disk"] = Field(
        default="process",
        description="`process` writes each micro-batch before it is answered and outlives SIGKILL; a power cut may "
        "lose what was answered since the last drain. `disk` flushes it as well and outlives that too, "
        "for one flush of the disk (0.2 to 10 ms) per micro-batch.",
    )
    spool_bytes: int = Field(
        default=2**30,
        ge=2**16,
        description="How many bytes the spool may hold while the prediction log can't be reached; then requests are "
        "answered 503.",
    )
    shadow: bool = Field(
        default=False,
        description="Whether a challenger predicts what the champion answers; its predictions are logged, never given.",
    )
    drain_every: Duration = Field(
        default=timedelta(seconds=5), description="How often the spool is moved into the prediction log."
    )
    follow_every: Duration = Field(
        default=timedelta(seconds=1), description="How often the registry is asked for a new champion."
    )
