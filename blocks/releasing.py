"""How a challenger that passed the gate takes the champion's place."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from everfit.blocks.conversion import ConversionPolicy
from everfit.blocks.policy import Duration, Policy
from everfit.blocks.serving import ServingPolicy
from everfit.blocks.trials import AbPolicy, CanaryPolicy


class ReleasePolicy(Policy):
    """How a champion is replaced, who must be seen to serve it, and how long old ones are kept."""

    strategy: Literal["replace", "canary", "ab"] = Field(
        default="replace",
        description="`replace` moves all traffic to the new champion at once; `canary` and `ab` try it on a share "
        "first.",
    )
    canary: CanaryPolicy = Field(
        default_factory=CanaryPolicy, description="The trial of `canary`: a share of traffic that grows by steps."
    )
    ab: AbPolicy = Field(
        default_factory=AbPolicy, description="The trial of `ab`: a fixed split until a test has decided."
    )
    services: tuple[str, ...] = Field(
        default=(),
        description="Base URLs of the prediction services, such as `http://localhost:8080`, that must answer with the "
        "new version before a release counts as done. `dns+http://name:8080` means each address that the name has.",
    )
    verify_timeout: Duration = Field(
        default=timedelta(seconds=60),
        description="How long the services may take to answer with the new version; a promotion that is not served by "
        "then is undone.",
    )
    rollback_within: Duration = Field(
        default=timedelta(days=3),
        description="How long after a release a loss of quality is blamed on it, and so rolled back.",
    )
    keep_versions: int = Field(
        default=5, ge=1, description="How many former champions stay loadable, for rolling back to."
    )
    keep_for: Duration = Field(
        default=timedelta(days=90),
        description="How long after its time a former champion stays loadable, however many there are.",
    )
    serving: ServingPolicy = Field(
        default_factory=ServingPolicy,
        description="How the prediction service serves the model: limits, durability, odd inputs.",
    )
    format: Literal["skops", "onnx"] = Field(
        default="skops",
        description="What is served: the fitted model as `skops` keeps it, or converted to `onnx` where that gives the "
        "same.",
    )
    conversion: ConversionPolicy = Field(
        default_factory=ConversionPolicy, description="How near the converted model must come to the fitted one."
    )

    @field_validator("services")
    @classmethod
    def _are_urls(cls, services: tuple[str, ...]) -> tuple[str, ...]:
        for service in services:
            if not service.startswith(("http://", "https://", "dns+http://")):
                raise ValueError(f"{service!r} is not the URL of a service; write it like http://localhost:8080")
        return tuple(service.rstrip("/") for service in services)

    @field_validator("verify_timeout", "rollback_within", "keep_for")
    @classmethod
    def _is_not_negative(cls, span: timedelta) -> timedelta:
        if span < timedelta(0):
            raise ValueError(f"{span} is negative; write 0s for none at all")
        return span
