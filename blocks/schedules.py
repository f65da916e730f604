"""When the flows of a model run by themselves on a Prefect server."""

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from everfit.blocks.policy import Policy

OFF = "off"
"""The value that switches a schedule off."""

_CRON = re.compile(r"\S+( \S+){4}")


class SchedulesPolicy(Policy):
    """The schedules of the model's deployments: cron expressions, or `off`.

    By default those of `prefect.yaml` count. A schedule that a person changes in the UI stays as it is there.
    """

    monitoring: str | None = Field(default=None, description="When windows are looked at, such as `7 * * * *`.")
    scoring: str | None = Field(default=None, description="When new rows of the source are predicted.")
    labeling: str | None = Field(default=None, description="When labels are collected.")
    upkeep: str | None = Field(default=None, description="When expired data is deleted.")
    reconcile: str | None = Field(default=None, description="When releases are checked and stale approvals end.")
    trial: str | None = Field(default=None, description="When a challenger on live traffic is checked.")
    service_check: str | None = Field(default=None, description="When the prediction services are checked.")
    watch_source: str | None = Field(default=None, description="When the source is looked at for new data.")
    timezone: str = Field(default="UTC", description="The time zone of these expressions, such as `Europe/Berlin`.")

    @field_validator("*")
    @classmethod
    def _has_five_fields(cls, value: str | None) -> str | None:
        return value if value is None else " ".join(value.split())

    @field_validator(
        "monitoring", "scoring", "labeling", "upkeep", "reconcile", "trial", "service_check", "watch_source"
    )
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        if value is not None and value != OFF and not _CRON.fullmatch(value):
            raise ValueError(
                f"{value!r} is no cron expression; give minute, hour, day, month and weekday, such as 7 * * * *, or off"
            )
        return value

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is no time zone; give one such as Europe/Berlin") from error
        return value

    def of(self, flow: str) -> str | None:
        """Return the expression for a flow, `off`, or None where `prefect.yaml` counts.

        Args:
            flow: The name of the flow's function, such as `service_check`.
        """
        found = getattr(self, flow, None) if flow in type(self).model_fields and flow != "timezone" else None
        return None if found is None else str(found)


def is_default(schedules: SchedulesPolicy) -> bool:
    """Return whether nothing is set, so that specs of earlier versions keep their digests."""
    return schedules == SchedulesPolicy()
