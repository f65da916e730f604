"""Report the progress of a search: as log lines, and as a progress artifact in the Prefect UI."""

import logging
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext

from everfit.blocks.search import SearchPolicy
from everfit.tasks.training.search import TuningTrial

logger = logging.getLogger("everfit.training")


class Progress:
    """Reports one candidate's search, and stays silent if no settings are searched.

    Args:
        policy: Number of settings to try.
        candidate: Name of the candidate.
    """

    def __init__(self, policy: SearchPolicy, candidate: str) -> None:
        self.policy, self.candidate = policy, candidate
        self.artifact: UUID | None = None

    def report(self, number: int, trial: TuningTrial) -> None:
        """Report a trial that has ended.

        Args:
            number: Number of the trial, from 0 on.
            trial: Its result.
        """
        if not self.policy.on:
            return
        outcome = "pruned" if trial.pruned else trial.error or f"{trial.score:.4f}"
        total = max(self.policy.trials, number + 1)  # the first settings may outnumber the searched ones
        logger.info("search    %s %d/%d: %s", self.candidate, number + 1, total, outcome)
        if TaskRunContext.get() is None:
            return
        done = 100.0 * (number + 1) / total
        if self.artifact is None:
            artifact = create_progress_artifact(done, description=f"Search of {self.candidate}")
            self.artifact = artifact if isinstance(artifact, UUID) else None
        else:
            update_progress_artifact(self.artifact, done)
