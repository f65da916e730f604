"""Drift of free text: other words, another language, another length; and none where nothing has moved."""

import re

import numpy as np
import pandas as pd
import pytest

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.signals.drift import DriftResult
from everfit.tasks.monitoring.signals.text_drift import TextDrift, text_drift
from everfit.tasks.monitoring.signals.whole_drift import drift_signal
from everfit.tasks.statistics.texts import language_of, words_of

ENGLISH = [
    "the",
    "and",
    "is",
    "to",
    "of",
    "with",
    "please",
    "have",
    "this",
    "not",
    "order",
    "invoice",
    "parcel",
    "late",
    "refund",
    "address",
]
GERMAN = [
    "der",
    "die",
    "und",
    "ist",
    "nicht",
    "wir",
    "bitte",
    "mit",
    "haben",
    "das",
    "bestellung",
    "rechnung",
    "paket",
    "adresse",
]


def texts(seed: int, rows: int = 500, german: float = 0.3, length: int = 12, also: str = "") -> "pd.Series[str]":
    """Made-up tickets in two languages; a tenth of them has a further word."""
    random = np.random.default_rng(seed)
    written = []
    for _ in range(rows):
        words = random.choice(GERMAN if random.random() < german else ENGLISH, length)
        more = f" {also}" if also and random.random() < 0.1 else ""
        written.append(f"<p>{' '.join(words)}{more}</p>")
    return pd.Series(written, name="message")


def _drift(current: "pd.Series[str]") -> TextDrift:
    return text_drift(texts(0), current, MonitoringPolicy())


@pytest.mark.slow
def test_texts_that_have_not_moved_are_no_drift() -> None:
    assert not any(_drift(texts(seed)).drifted for seed in range(1, 11))


def test_another_language_is_named() -> None:
    drift = _drift(texts(1, german=0.7))
    assert drift.drifted
    assert drift.auc > 0.6
    assert re.search(r"German [23].% to [67].% of the texts", drift.summary)


def test_unseen_words_are_named_with_their_share() -> None:
    drift = _drift(texts(1, also="blockchain"))
    assert list(drift.unseen) == ["blockchain"]
    assert "words that the reference doesn't have: blockchain (" in drift.summary


def test_longer_texts_have_drifted() -> None:
    drift = _drift(texts(1, length=20))
    assert drift.drifted
    assert "median length" in drift.summary


def test_few_texts_are_not_compared() -> None:
    with pytest.raises(NotEnoughError, match="too few to compare"):
        _drift(texts(1, rows=50))


def test_drift_of_texts_is_drift_of_the_window() -> None:
    columns = DriftResult(status="no_drift", drifted=False, rows=500, reference_rows=500, profile="p")
    moved = _drift(texts(1, german=0.8))
    signal = drift_signal(columns, texts=[moved], policy=MonitoringPolicy())
    assert signal.drifted
    assert signal.beside == (moved.summary,)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where is my parcel and the invoice?", "English"),
        ("Wo ist mein Paket und die Rechnung?", "German"),
        ("Où est mon colis et la facture pour vous?", "French"),
        ("Где моя посылка?", "Cyrillic"),
        ("我的包裹在哪里", "Chinese"),
        ("xyz", "Latin"),
        ("123 !?", "no letters"),
    ],
)
def test_languages_are_told_by_letters_and_common_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_words_have_no_html() -> None:
    assert words_of("<p class='x'>Hello&nbsp;World</p> <script>") == ["hello", "world"]
