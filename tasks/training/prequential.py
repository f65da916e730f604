"""Judge the training procedure as it would have been used: fitted again and again, each time on all rows before.

A release of a challenger releases a procedure: candidate, setting and training span, chosen and fitted on what is
known by then. The hold-out is therefore cut by `split.refits`. At the start of each part the procedures compete on the
parts before, the best one is fitted on all rows before, and is judged on the part: A. P. Dawid, "Present position and
potential developments: some personal views: statistical theory: the prequential approach", Journal of the Royal
Statistical Society A 147 (1984). No model is chosen by, or fitted on, a row that it is judged on.
"""

import logging
from collections.abc import Sequence
from itertools import pairwise

from everfit.tasks.core.records import Window
from everfit.tasks.data.split import Sample, TrainingData
from everfit.tasks.training.competition import Competition
from everfit.tasks.training.results import CandidateResult, Choice, Fitted
from everfit.tasks.training.search import Setting
from everfit.tasks.training.spans import competing_spans
from everfit.tasks.training.train import fit_best, ranked

logger = logging.getLogger("everfit.training")

_MOST = 5
"""Number of procedures that compete; the others are not worth their time."""


def fit_prequentially(
    data: TrainingData, results: Sequence[CandidateResult], path: str, former: Sequence[Choice] = ()
) -> Fitted:
    """Fit the procedure at the start of the hold-out and again within it, as `data.split` says.

    Args:
        data: Rows of the turn.
        results: Results of the candidates on the training rows.
        path: Path in the workspace for the newest of the models.
        former: Procedures of earlier champions, which compete as well.

    Returns:
        The newest model, with the earlier ones, and with the procedure that did best on the newest rows.

    Raises:
        TrainingError: No candidate could be fitted.
    """
    split = data.split
    if isinstance(split.holdout, Sample) or split.holdout.since is None:
        return fit_best(data, results, split.training, path)
    starts = [*([split.chosen_from] if split.chosen_from else []), split.holdout.since, *split.refits]
    procedures = _procedures(data, results, former)
    competition = Competition(data, procedures, f"{path}.trial")
    chain: list[Fitted] = []
    for start, end in pairwise([*starts, split.holdout.until]):
        competition.fit(start)
        if start >= split.holdout.since:
            kept = competition.keep(path.replace(".skops", f"-{len(chain) + 1}.skops"))
            chain += [kept] if kept is not None else []
        competition.judge(Window(since=start, until=end))
    newest, best = chain[-1], competition.leader
    data.workspace.write(path, data.workspace.read(newest.path))
    data.workspace.delete(newest.path)
    logger.info(
        "of %d procedures, %s did best on the newest rows; %d models were fitted",
        len(procedures),
        best,
        competition.fits,
    )
    left_out = str(competition.budget)
    if left_out:
        logger.info("they competed %s", left_out)
    found = {"path": path, "earlier": tuple(chain[:-1]), "best": best, "left_out": left_out}
    return newest.model_copy(update=found)


def _procedures(data: TrainingData, results: Sequence[CandidateResult], former: Sequence[Choice]) -> tuple[Choice, ...]:
    """Return the procedures that compete, the best by the training rows first: it on each span, then the others."""
    best, *others = ranked(results)
    spans = competing_spans(data)
    first = Choice(candidate=best.candidate, setting=best.setting)
    shorter = [
        Choice(candidate=best.candidate, setting=Setting(parameters=best.setting.parameters, span=span))
        for span in spans
        if span != best.setting.span
    ]
    rest = [Choice(candidate=other.candidate, setting=other.setting) for other in others]
    known = {result.candidate for result in results}
    every = [first, *shorter, *rest[:1], *(choice for choice in former if choice.candidate in known)]
    return tuple({choice.canonical_json(): choice for choice in every}.values())[:_MOST]
