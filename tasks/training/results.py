"""Results of training: the score of each candidate, and the fitted model."""

import hashlib
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import AwareDatetime, Field

from everfit.tasks.core.records import Record, Window
from everfit.tasks.data.split import Sample
from everfit.tasks.models.skops_format import load_model
from everfit.tasks.models.trusted_nodes import TRUSTED_VARIABLE
from everfit.tasks.statistics.corrections import Correction
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.training.search import Setting, TuningTrial

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_MOST_BYTES = 16 * 2**20
"""Models that were read lately stay in memory as long as their files are together at most as large."""
_SURELY = 2.0
"""Standard errors that a gain must exceed to count."""
_lately: "OrderedDict[tuple[bytes, str], tuple[Pipeline, int]]" = OrderedDict()
_lock = threading.Lock()


def _is_empty(value: object) -> bool:
    return not value


class CandidateResult(Record):
    """Score of a candidate on validation rows that are later than the rows it was fitted on."""

    candidate: str
    metric: str
    score: float | None = Field(description="Validation score of its best setting; None if it failed or is alone.")
    alone: bool = Field(
        default=False,
        exclude_if=_is_empty,
        description="Whether nothing was tried, because it is the only candidate and has one setting.",
    )
    rows: int
    sample: int | None = Field(
        default=None, description="Number of rows that each setting was fitted on, where there are more of them."
    )
    seconds: float
    error: str = ""
    setting: Setting = Field(default_factory=Setting, description="Its best setting.")
    tries: tuple[TuningTrial, ...] = Field(default=(), description="All settings that were tried, in order.")

    @property
    def remark(self) -> str:
        """The error, why nothing was tried, or the sample that the settings were fitted on; empty without any."""
        if self.alone:
            return "not tried on validation rows, as the only candidate with one setting"
        return self.error or ("" if self.sample is None else f"fitted on a sample of {self.sample:,} rows")


class Choice(Record):
    """A candidate with the setting that it is fitted with."""

    candidate: str
    setting: Setting = Field(default_factory=Setting)

    def __str__(self) -> str:
        span = "" if self.setting.span == "all" else f" on the newest {self.setting.span}"
        return f"{self.candidate}{span}"


class Remedied(Record):
    """How a model was made of an earlier version, without a search."""

    remedy: str = Field(description="One of the gate's ladder of remedies.")
    version: int = Field(description="The version that it was made of.")
    base: str = Field(description="Path of that version's file in the workspace.")
    since: AwareDatetime = Field(description="Start of the rows that the champion has not seen.")
    correction: Correction | None = None
    searched_rows: int = Field(default=0, description="Rows that the settings were last searched on.")


class SampleEffect(Record):
    """The loss of quality by half of the sample, where a model has learned from a sample (`training.sample`)."""

    rows: int = Field(description="Number of rows of the sample before the hold-out.")
    of: int = Field(description="Number of rows that it was taken from.")
    metric: str
    whole: float | None = Field(default=None, description="The metric on the hold-out, fitted on the sample.")
    half: float | None = Field(default=None, description="The same, fitted on half of the sample.")
    gain: float | None = Field(default=None, description="Positive when the whole sample is better than its half.")
    standard_error: float | None = None
    problem: str = Field(default="", description="Why it could not be measured.")

    def __str__(self) -> str:
        sample = f"a sample of {self.rows:,} of {self.of:,} rows, in which each month and class keeps its share"
        if self.gain is None or self.standard_error is None:
            return f"{sample}; what half of it would cost could not be measured: {self.problem}"
        surely = self.gain > _SURELY * self.standard_error
        return (
            f"{sample}; on the hold-out {self.metric} is {self.whole:.4f}, and {self.half:.4f} with half of the sample "
            f"(a gain of {self.gain:.4f}, standard error {self.standard_error:.4f}): "
            f"{'a larger sample may be better' if surely else 'a larger sample would hardly be better'}"
        )


class Fitted(Record):
    """A fitted pipeline, kept in the workspace until it is registered."""

    candidate: str
    path: str
    rows: int
    trained_on: Sample | Window
    features: tuple[str, ...]
    setting: Setting = Field(default_factory=Setting)
    workers: int = Field(
        default=0, exclude_if=_is_empty, description="The number of Dask workers that fitted it; 0 for one process."
    )
    sampled: SampleEffect | None = Field(
        default=None,
        exclude_if=_is_empty,
        description="The sample that it was fitted on, if any, and its effect on quality.",
    )
    left_out: str = Field(
        default="",
        exclude_if=_is_empty,
        description="In words: the models of rivals that were not fitted, because the table has many columns.",
    )
    threshold: float | None = Field(default=None, description="Most valuable threshold; None without business_value.")
    remedied: Remedied | None = Field(
        default=None, exclude_if=_is_empty, description="If it is a remedy of the champion, and was not searched."
    )
    earlier: tuple["Fitted", ...] = Field(
        default=(),
        exclude_if=_is_empty,
        description="The models that were fitted at earlier times of the hold-out, the oldest first: each is judged on "
        "the rows from the end of its training to that of the next.",
    )
    best: Choice | None = Field(
        default=None,
        exclude_if=_is_empty,
        description="The best setting on the newest rows, hold-out included: a refit fits this.",
    )

    @property
    def chain(self) -> tuple["Fitted", ...]:
        """The models that are judged, each on the rows after its training, the oldest first."""
        return (*self.earlier, self)

    def judged(self, times: pd.Series) -> list[npt.NDArray[np.bool_]]:
        """Return for each model of the chain which rows it is judged on; shape (rows,) each.

        Args:
            times: Event times of the hold-out's rows; shape (rows,).
        """
        ends = [fitted.trained_on.until for fitted in self.chain][1:]
        number = np.searchsorted(
            np.array([pd.Timestamp(end).value for end in ends], dtype=np.int64),
            times.to_numpy("datetime64[ns]").astype(np.int64),
            side="right",
        )
        return [np.asarray(number == place, dtype=np.bool_) for place in range(len(self.chain))]

    @property
    def choice(self) -> Choice:
        """The candidate and setting that a refit fits."""
        return self.best or Choice(candidate=self.candidate, setting=self.setting)


def how_fitted(fitted: Fitted) -> str:
    """Return in words how a model was fitted, if not on all rows by one process; else an empty text."""
    if fitted.workers:
        where = f"on all {fitted.rows:,} rows by {fitted.workers} Dask workers"
    else:
        where = "" if fitted.sampled is None else f"on {fitted.sampled}"
    return "; ".join(filter(None, (where, fitted.left_out)))


def read_model(fitted: Fitted, workspace: Workspace) -> "Pipeline":
    """Load the pipeline that an earlier step has fitted.

    The steps of a turn read the same few models again and again. Small ones that were read lately are given out again,
    so nobody may change one.
    """
    content = workspace.read(fitted.path)
    # The key names what is trusted too: a model that may no longer be loaded must not be found here.
    key = (hashlib.sha256(content).digest(), os.environ.get(TRUSTED_VARIABLE, ""))
    with _lock:
        if key in _lately:
            _lately.move_to_end(key)
            return _lately[key][0]
    model = load_model(content)
    with _lock:
        _lately[key] = model, len(content)
        while sum(size for _, size in _lately.values()) > _MOST_BYTES:
            _lately.popitem(last=False)
    return model
