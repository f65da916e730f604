"""How a challenger that passed the gate replaces the champion."""

import re
from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from everfit.blocks.conversion import ConversionPolicy
from everfit.blocks.policy import Duration, Policy, format_duration
from everfit.blocks.serving import ServingPolicy
from everfit.blocks.trials import AbPolicy, CanaryPolicy, ShadowPolicy

PUBLIC_KEY = re.compile(r"ed25519:[A-Za-z0-9+/]{43}=(\s|$)")
"""The start of a line that names a signer: an Ed25519 key of 32 bytes, and after a blank its owner."""


class ReleasePolicy(Policy):
    """How a new champion replaces the old one, and how long old ones are kept."""

    strategy: Literal["replace", "canary", "ab", "shadow"] = Field(
        default="replace",
        description="How traffic moves to the new champion: `replace` moves all of it at once; `canary` and `ab` "
        "first run a traffic trial on a share; `shadow` first lets the challenger predict all rows unseen.",
    )
    canary: CanaryPolicy = Field(
        default_factory=CanaryPolicy,
        description="The traffic trial of `canary`: a share of traffic that grows step by step.",
    )
    ab: AbPolicy = Field(
        default_factory=AbPolicy, description="The traffic trial of `ab`: a fixed split until a test decides."
    )
    shadow: ShadowPolicy = Field(
        default_factory=ShadowPolicy,
        exclude_if=lambda policy: policy == ShadowPolicy(),
        description="The trial of `shadow`: predictions that nobody sees, compared row by row as labels mature.",
    )
    services: tuple[str, ...] = Field(
        default=(),
        description="Base URLs of the prediction services that must answer with the new version before a release "
        "is verified, such as `http://localhost:8080`. `dns+http://name:8080` means every address of "
        "that name.",
    )
    verify_timeout: Duration = Field(
        default=timedelta(seconds=60),
        description="How long the services may take to answer with the new version. A promotion that they don't "
        "serve by then is undone.",
    )
    rollback_within: Duration = Field(
        default=timedelta(days=3),
        description="How long after a release a loss of quality is attributed to it and rolls it back.",
    )
    keep_versions: int = Field(
        default=5, ge=1, description="The number of former champions that stay loadable for a rollback."
    )
    keep_for: Duration = Field(
        default=timedelta(days=90),
        description="How long each former champion can be loaded after it was replaced.",
    )
    serving: ServingPolicy = Field(
        default_factory=ServingPolicy,
        description="How the prediction service serves the model: limits, durability, unusual inputs.",
    )
    format: Literal["skops", "onnx"] = Field(
        default="skops",
        description="The format of the served model: `skops` as it was fitted, or `onnx` where the converted "
        "model predicts the same.",
    )
    conversion: ConversionPolicy = Field(
        default_factory=ConversionPolicy, description="How closely the converted model must match the fitted one."
    )

    signers: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda signers: not signers,
        description="The public keys of which one must have signed each version that is loaded, as `everfit keys` "
        "prints them, with the owner's name after the key. `EVERFIT_SIGNERS` asks for the same for all models of a "
        "process.",
    )

    @field_validator("signers")
    @classmethod
    def _are_public_keys(cls, signers: tuple[str, ...]) -> tuple[str, ...]:
        for signer in signers:
            if not PUBLIC_KEY.match(signer):
                raise ValueError(
                    f"{signer!r} is not a public key with its owner's name, such as `ed25519:… ann`; make one by "
                    "`everfit keys FILE`"
                )
        return signers

    @field_validator("services")
    @classmethod
    def _are_urls(cls, services: tuple[str, ...]) -> tuple[str, ...]:
        for service in services:
            if not service.startswith(("http://", "https://", "dns+http://")):
                raise ValueError(f"{service!r} is not the URL of a service; give one such as http://localhost:8080")
        return tuple(service.rstrip("/") for service in services)

    @field_validator("verify_timeout", "rollback_within", "keep_for")
    @classmethod
    def _is_not_negative(cls, span: timedelta) -> timedelta:
        if span < timedelta(0):
            raise ValueError(f"{format_duration(span)!r} is negative; give 0s or more")
        return span
