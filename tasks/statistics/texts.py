"""Count words, scripts and languages of texts without a model. Pure."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

LONGEST = 5_000
"""Characters of a text that are looked at."""
_TAGS = re.compile(r"<[^<>]{1,300}>|&[#\w]{1,10};")
_WORDS = re.compile(r"[^\W_]{2,}")
_LETTERS = 200
_COMMON = {
    "English": "the and is are to of in it for that you with not on this have was my be",
    "German": "der die das und ist nicht ich sie zu den mit ein eine auf fur von im wir bitte",
    "French": "le la les et est pas je vous une des pour dans que sur avec mon nous du ne",
    "Spanish": "el la los y es no que de en por con una para mi se las del como pero",
    "Italian": "il la che di non sono per una con mi del della gli ho si nel questo ma le",
    "Portuguese": "o a os e que de nao em um uma para com por mais da do meu no se",
    "Dutch": "de het een en van is niet ik dat te voor met op zijn aan mijn er maar je",
}


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without HTML."""
    return _WORDS.findall(_TAGS.sub(" ", text[:LONGEST]).lower())


def word_shares(texts: Iterable[Sequence[str]]) -> tuple[Counter[str], int]:
    """Return in how many texts each word is, and the number of texts.

    Args:
        texts: The words of each text.
    """
    counts: Counter[str] = Counter()
    number = 0
    for words in texts:
        counts.update(set(words))
        number += 1
    return counts, number


def language_of(text: str) -> str:
    """Return the script of most letters, such as `Cyrillic`; of Latin ones the language whose common words it has.

    A text with none of them is `Latin`, and one without letters `no letters`.
    """
    scripts = Counter(filter(None, map(_script, text[:_LETTERS])))
    if not scripts:
        return "no letters"
    script = scripts.most_common(1)[0][0]
    if script != "Latin":
        return script
    plain = unicodedata.normalize("NFKD", text[:LONGEST]).encode("ascii", "ignore").decode()
    words = words_of(plain)
    hits = {language: sum(word in common for word in words) for language, common in _common_words().items()}
    best = max(hits, key=lambda language: hits[language])
    return best if hits[best] else script


def language_shares(texts: Sequence[str]) -> dict[str, float]:
    """Return the share of each language or script among texts, the largest first."""
    counts = Counter(map(language_of, texts))
    return {name: count / len(texts) for name, count in counts.most_common()}


def lengths(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the number of characters of each text, shape (texts,)."""
    return np.array([len(text) for text in texts], dtype=np.float64)


@cache
def _script(character: str) -> str | None:
    if not character.isalpha():
        return None
    name = unicodedata.name(character, "").split(" ", 1)[0].split("-", 1)[0]
    return {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}.get(
        name, name.capitalize() or None
    )


@cache
def _common_words() -> dict[str, frozenset[str]]:
    """Return the common words of each language that no other language of the list has."""
    lists = {language: words.split() for language, words in _COMMON.items()}
    shared = Counter(word for words in lists.values() for word in words)
    return {language: frozenset(w for w in words if shared[w] == 1) for language, words in lists.items()}
