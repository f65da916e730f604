"""How far a search has come: a line in the terminal, and a progress artifact in the Prefect UI."""

import logging
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext

from everfit.blocks.search import SearchPolicy
from everfit.tasks.training.search import TuningTrial

logger = logging.getLogger("everfit.training")


class Progress:
    """Tells of one candidate's search; where nothing is searched, of nothing.

    Args:
        policy: Says how many settings are tried.
        candidate: Whose.
    """

    def __init__(self, policy: SearchPolicy, candidate: str) -> None:
        self.policy, self.candidate = policy, candidate
        self.artifact: UUID | None = None

    def told(self, number: int, tried: TuningTrial) -> None:
        """Tell of a try that has ended."""
        if not self.policy.on:
            return
        outcome = "given up early" if tried.pruned else tried.error or f"{tried.score:.4f}"
        in_all = max(self.policy.trials, number + 1)  # more where more settings come first than are searched
        logger.info("search    %s %d/%d: %s", self.candidate, number + 1, in_all, outcome)
        if TaskRunContext.get() is None:
            return
        done = 100.0 * (number + 1) / in_all
        if self.artifact is None:
            found = create_progress_artifact(done, description=f"Search of {self.candidate}")
            self.artifact = found if isinstance(found, UUID) else None
        else:
            update_progress_artifact(self.artifact, done)
