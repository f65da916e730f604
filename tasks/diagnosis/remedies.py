"""Remedies of a loss: a model of recent rows, other columns, or better labels. Pure.

A model that is fitted on the window alone, and answers each day by the other days, shows what these columns can tell.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.loss_diagnosis import LOSS_TEXTS, LossSlice
from everfit.tasks.diagnosis.encoding import Encoded
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence, LabelledRows, row_losses
from everfit.tasks.diagnosis.shared_rows import BINS, FOLDS, fold_of_rows, in_bins, with_values
from everfit.tasks.diagnosis.unused_columns import explaining_columns

Floats = npt.NDArray[np.float64]
Chosen = npt.NDArray[np.bool_]
Folds = npt.NDArray[np.int64]

_MOST_CLASSES = 10
_LEAST_ROWS = 300
"""A model that is fitted on fewer rows says nothing about what the columns can explain."""
_SMALL = 0.25
"""A slice is one that no model answers better if less than this share of its excess could be won back."""
_SURE, _UNLIKELY = 0.02, 0.15
"""A label is doubted if the champion gives it at most the first, and a model of the other days at most the second."""
_CONTRADICTING = 0.02
_NINETY_FIVE = 1.645


@dataclass(frozen=True)
class Remedies:
    """Remedies, and the labels that are to be checked.

    Attributes:
        sentences: One for each remedy.
        suspects: Whether the label of each of the window's rows is likely wrong; shape (rows,).
        contradicting: Whether each has the values of another row and another label, if many more do than before; shape
            (rows,).
        spent: Whether these columns tell hardly more about the labels now than a constant answer does.
    """

    sentences: tuple[str, ...]
    suspects: Chosen
    contradicting: Chosen
    spent: bool = False


def find_remedies(
    evidence: DiagnosisEvidence,
    encoded: Encoded,
    slices: list[tuple[LossSlice, Chosen]],
    task: TaskKind,
    seed: int = 0,
) -> Remedies:
    """Return the remedies beside or in place of a retraining.

    Args:
        evidence: Both sides; the window shows labels and answers.
        encoded: Their columns as numbers.
        slices: The slices in which quality was lost, and which rows of the window each has.
        task: The kind of prediction.
        seed: The seed of the folds and the trees.
    """
    window = evidence.window
    none = Remedies((), np.zeros(len(window), dtype=np.bool_), np.zeros(len(window), dtype=np.bool_))
    if window.truth is None or window.scores is None:
        return none
    sentences, suspects, spent = [], none.suspects, False
    classes = len(np.unique(window.truth))
    fitted = len(window) >= _LEAST_ROWS and encoded.values.shape[1] > 0
    if fitted and (task == "regression" or 2 <= classes <= _MOST_CLASSES):
        folds = fold_of_rows(window, seed)
        learn = partial(_answers_of_others, evidence, folds, task=task, seed=seed)
        recent = learn(in_bins(encoded)[len(evidence.reference) :], encoded.is_categorical)
        gains = window.losses - row_losses(window.truth, recent, evidence.row_loss)
        sentences += [text for slice_, chosen in slices if (text := _irreducible(evidence, gains, slice_, chosen))]
        if not sentences and (text := _won_back(evidence, gains)):
            sentences.append(text)
        spent = _are_spent(evidence, row_losses(window.truth, recent, evidence.row_loss), folds, task)
        sentences += explaining_columns(evidence, recent, learn)
        if task != "regression":
            suspects = _suspects(evidence, recent)
    if (number := int(suspects.sum())) > 0:
        sentences.append(
            f"{number:,} labels should be checked: the champion gives them at most {_SURE:.0%}, a model of the other "
            "days does not believe them either, and the hold-out has far fewer; `everfit label-queue` asks for them, "
            "and `everfit diagnose --suspects FILE` lists them"
        )
    contradicting = none.contradicting
    if task != "regression":
        texts, contradicting = _contradictions(evidence)
        sentences += texts
    return Remedies(tuple(sentences), suspects, contradicting, spent)


def _answers_of_others(
    evidence: DiagnosisEvidence, folds: Folds, features: Floats, is_categorical: Chosen, *, task: TaskKind, seed: int
) -> Floats:
    """Return what a model fitted on the window's other days says of each of its rows; shaped as the scores."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    window = evidence.window
    assert window.truth is not None  # noqa: S101 - the caller has checked it
    assert window.scores is not None  # noqa: S101 - the caller has checked it
    settings: dict[str, Any] = {"max_iter": 60, "learning_rate": 0.08, "max_leaf_nodes": 8, "min_samples_leaf": 30}
    settings |= {
        "max_bins": BINS,
        "early_stopping": False,
        "categorical_features": is_categorical,
        "random_state": seed,
    }
    answers = np.zeros_like(np.asarray(window.scores, dtype=np.float64))
    with threadpool_limits(1):
        for fold in range(FOLDS):
            train, test = folds != fold, folds == fold
            if not test.any():
                continue
            values = with_values(features, train)
            if task == "regression":
                model = HistGradientBoostingRegressor(**settings).fit(values[train], window.truth[train])
                answers[test] = model.predict(values[test])
                continue
            labels = window.truth[train].astype(np.int64)
            if len(np.unique(labels)) < 2:
                probabilities, known = np.ones((int(test.sum()), 1)), np.unique(labels)
            else:
                model = HistGradientBoostingClassifier(**settings).fit(values[train], labels)
                probabilities, known = model.predict_proba(values[test]), model.classes_
            full = np.zeros((int(test.sum()), 2 if answers.ndim == 1 else answers.shape[1]))
            full[:, known] = probabilities
            answers[test] = full[:, 1] if answers.ndim == 1 else full
    return answers


def _gain(evidence: DiagnosisEvidence, gains: Floats, chosen: Chosen) -> tuple[float, float]:
    """Return the mean gain over some rows of the window, and its standard error."""
    part = evidence.window.of(chosen)
    weights = part.counted
    mean = float(weights @ gains[chosen])
    return mean, part.mean_error(len(part) * weights * (gains[chosen] - mean))


def _irreducible(evidence: DiagnosisEvidence, gains: Floats, slice_: LossSlice, chosen: Chosen) -> str:
    """Return in words that no model of these columns answers a slice better; empty if one may."""
    mean, error = _gain(evidence, gains, chosen)
    most = mean + _NINETY_FIVE * error
    if slice_.loss <= slice_.elsewhere or most >= _SMALL * (slice_.loss - slice_.elsewhere):
        return ""
    return (
        f"{slice_.name}: a model fitted on this window alone is no better there ({slice_.loss - mean:.3g} where the "
        f"champion has {slice_.loss:.3g}), so these columns don't tell more; other columns might"
    )


def _won_back(evidence: DiagnosisEvidence, gains: Floats) -> str:
    """Return in words what a model of the window wins back; empty if that is not certain."""
    mean, error = _gain(evidence, gains, np.ones(len(gains), dtype=np.bool_))
    if mean <= _NINETY_FIVE * error:
        return ""
    now = float(evidence.window.counted @ evidence.window.losses)
    return (
        f"a model fitted on this window alone has a {LOSS_TEXTS[evidence.row_loss]} of {now - mean:.3g} on its other "
        f"days, where the champion has {now:.3g}"
    )


def _are_spent(evidence: DiagnosisEvidence, recent: Floats, folds: Folds, task: TaskKind) -> bool:
    """Return whether a model of the window is hardly better than a constant, where the champion surely was before.

    Args:
        evidence: Both sides.
        recent: The losses of a model fitted on the window's other days; shape (rows,).
        folds: The fold of each of the window's rows.
        task: The kind of prediction.
    """
    old, new = evidence.reference, evidence.window
    if old.truth is None or new.truth is None or evidence.row_loss in {"absolute_error", "relative_error"}:
        return False
    whole = np.zeros(len(old), dtype=np.int64)
    worth = []
    for side, losses, parts in ((old, old.losses, whole), (new, recent, folds)):
        gains = _constant_losses(side.truth, parts, task, evidence) - losses
        mean = float(side.counted @ gains)
        worth.append((mean, side.mean_error(len(side) * side.counted * (gains - mean))))
    (before, error), (now, error_now) = worth
    return before > _NINETY_FIVE * error and now + _NINETY_FIVE * error_now < _SMALL * before


def _constant_losses(truth: Floats | None, folds: Folds, task: TaskKind, evidence: DiagnosisEvidence) -> Floats:
    """Return the loss of each row if it got the shares, or the mean, of the rows outside its fold."""
    assert truth is not None  # noqa: S101 - the caller has checked it
    classes = max(2, int(truth.max()) + 1) if task != "regression" else 1
    losses = np.empty(len(truth))
    for fold in np.unique(folds):
        own = folds == fold
        others = truth if own.all() else truth[~own]
        if task == "regression":
            said = np.full(int(own.sum()), others.mean())
        else:
            shares = np.bincount(others.astype(np.int64), minlength=classes) / len(others)
            said = np.tile(shares, (int(own.sum()), 1))
        losses[own] = row_losses(truth[own], said, evidence.row_loss)
    return losses


def _suspects(evidence: DiagnosisEvidence, recent: Floats) -> Chosen:
    """Return which labels of the window neither model believes, if the hold-out has far fewer; shape (rows,)."""
    old, new = evidence.reference, evidence.window
    assert new.truth is not None  # noqa: S101 - the caller has checked it
    assert new.scores is not None  # noqa: S101 - the caller has checked it
    none = np.zeros(len(new), dtype=np.bool_)
    if old.truth is None or old.scores is None:
        return none
    doubted = (_of_label(new.truth, new.scores) <= _SURE) & (_of_label(new.truth, recent) <= _UNLIKELY)
    usual = float((_of_label(old.truth, old.scores) <= _SURE).mean()) * len(new)
    return doubted if int(doubted.sum()) > 2 * usual + 3 * np.sqrt(usual) + 3 else none


def doubted_share(evidence: DiagnosisEvidence, suspects: Chosen) -> float:
    """Return the share of the loss's growth that is in labels which should be checked.

    Args:
        evidence: Both sides.
        suspects: Whether the label of each of the window's rows should be checked; shape (rows,).
    """
    old, new = evidence.reference, evidence.window
    grown = float(new.counted @ new.losses) - float(old.counted @ old.losses)
    if grown <= 0 or not suspects.any() or old.truth is None or old.scores is None:
        return 0.0
    usual = _of_label(old.truth, old.scores) <= _SURE  # a right label is as unlikely now and then
    more = float((new.counted * new.losses)[suspects].sum()) - float((old.counted * old.losses)[usual].sum())
    return max(0.0, min(more / grown, 1.0))


def _of_label(truth: Floats, scores: Floats) -> Floats:
    """Return the probability that answers give to the labels; shape (rows,)."""
    labels = truth.astype(np.int64)
    if scores.ndim == 1:
        return np.where(labels == 1, scores, 1 - scores)
    return np.asarray(scores[np.arange(len(labels)), labels], dtype=np.float64)


def _contradictions(evidence: DiagnosisEvidence) -> tuple[list[str], Chosen]:
    """Return how many rows have the values of a row with another label, if there are many more than before, and which.

    Returns:
        The sentence, if there is one, and whether each of the window's rows is one of them; shape (rows,).
    """
    old, new = evidence.reference, evidence.window
    none = np.zeros(len(new), dtype=np.bool_)
    if old.truth is None:
        return [], none
    columns, rows = [*evidence.columns, *evidence.texts], min(len(old), len(new))
    # The more rows there are, the more of them meet one of the same values: so both counts are of as many rows.
    before, now = (float(_contradicting(side.sampled(rows, 0), columns).mean()) for side in (old, new))
    if now < 2 * before + _CONTRADICTING:
        return [], none
    text = f"{now:.0%} of the rows have the values of another row in all columns and another label, {before:.0%} before"
    return [f"{text}; no model of these columns answers both right"], _contradicting(new, columns)


def _contradicting(side: LabelledRows, columns: list[str]) -> Chosen:
    """Return which rows have the values of another row in all columns, and another label; shape (rows,)."""
    values = pd.util.hash_pandas_object(side.rows[columns].astype(str), index=False)
    labels = pd.DataFrame({"values": values.to_numpy(), "label": side.truth})
    return (labels.groupby("values")["label"].transform("nunique") > 1).to_numpy(dtype=np.bool_)
