"""The evidence area `diagnosis`: why and where quality was lost, measured only where it may be lost."""

from pydantic import FiniteFloat

from everfit.tasks.core.loss_diagnosis import Diagnosis
from everfit.tasks.triage.area import Area


class DiagnosisSignal(Area):
    """Why and where quality was lost; absent while it is not."""

    name = "diagnosis"
    label = "diagnosis"
    measures = "why and where quality was lost, if it seems to be"
    required = ("diagnosis",)

    diagnosis: Diagnosis | None = None

    @property
    def details(self) -> str:
        """The cause and the worst slice."""
        if self.diagnosis is None:
            return ""
        return "; ".join(self.diagnosis.reasons) or self.diagnosis.summary

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences beside a decision about a loss; empty where no cause is certain."""
        return self.diagnosis.reasons if self.measured and self.diagnosis is not None else ()

    @property
    def numbers(self) -> dict[str, FiniteFloat]:
        """The parts of the loss."""
        if not self.measured or self.diagnosis is None:
            return {}
        split = self.diagnosis.split
        return {
            "before": split.before,
            "now": split.now,
            "unseen_share": split.unseen_share,
            **{part.name: part.change for part in split.parts},
        }
