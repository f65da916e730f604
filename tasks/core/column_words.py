"""The words of a column's name, however they are joined: `ClosedDate`, `closed-date` and `Closed Date` are the same."""

import re
from collections.abc import Sequence

_RUNS = re.compile(r"[^\W\d_]+|\d+")
_JOINED = re.compile(
    r"(account|actual|applied|application|appointment|arrival|arrived|assigned|begin|birth|booked|booking|case|claim|"
    r"client|closed?|closing|completed|contract|created|creation|customer|death|delivered|delivery|departure|device|"
    r"discharge|due|employee|end|ended|entry|event|expiry|final|finish|finished|hired?|incident|invoice|item|joined|"
    r"known|label|loan|logged|modified|open|opened|opening|order|outcome|paid|patient|payment|person|pickup|policy|"
    r"product|purchase|record|registered|registration|report|reported|request|resolution|resolved|response|result|"
    r"return|returned|row|sale|session|settled|settlement|ship|shipped|signup|sold|start|started|submission|submitted|"
    r"ticket|trade|transaction|trip|unique|updated?|user|vehicle|visit)"
    r"(datetime|timestamp|date|time|stamp|number|code|day|at|on|id|no)"
)
"""Two words that people join without a separator. Others stay whole: `valid`, `candidate`, `runtime`, `mandate`."""
_SAME_LETTERS = 5
"""Words that begin with this many equal letters, and differ only at the end, count as one word in several forms."""
_SAME_SHARE = 0.7
_SUBJECT = 2
"""A word in more features than this is the table's subject and does not point to the target."""
_KIND_OF_A_THING = re.compile(r"status|state|type|kind|class|category|code|level|result|outcome|group")
_EARLIER = frozenset(
    {"before", "earlier", "former", "lag", "lagged", "past", "prev", "previous", "previously", "prior"}
)
"""A name with one of these words is about an earlier event, whose outcome may be known."""
_SAYS_NOTHING = re.compile(
    r"an?|and|binary|bool|by|class|code|count|date|datetime|day|did|final|flag|for|ha[ds]|id|in|ind|indicator|is|kind|"
    r"label|level|no?|not|nr|num|number|o[fn]|outcome|result|score|state|status|target|the|time|timestamp|to|total|"
    r"type|value|was|will|y|yes|yn|\d+"
)
"""Words of names that don't say what a column is about."""


def column_words(name: object) -> tuple[str, ...]:
    """Return the words of a column's name in lower case.

    Example:
        >>> column_words("ClosedDate"), column_words("closed-date"), column_words("customerid"), column_words("isVIP")
        (('closed', 'date'), ('closed', 'date'), ('customer', 'id'), ('is', 'vip'))
    """
    return tuple(
        word for run in _RUNS.findall(str(name)) for part in _by_capitals(run) for word in _split(part.lower())
    )


def plain_name(name: object) -> str:
    """Return the words of a column's name joined by underscores.

    Example:
        >>> plain_name("Closed Date"), plain_name("Unnamed: 0")
        ('closed_date', 'unnamed_0')
    """
    return "_".join(column_words(name))


def is_one_word(first: str, second: str) -> bool:
    """Return whether two words are forms of one word, such as `cancelled` and `cancellation`.

    Example:
        >>> is_one_word("cancelled", "cancellation"), is_one_word("contract", "contact")
        (True, False)
    """
    same = next((n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
    shorter = min(len(first), len(second))
    if same is None:
        return first == second or (shorter >= _SAME_LETTERS - 1 and abs(len(first) - len(second)) <= 3)
    return same >= _SAME_LETTERS and same >= _SAME_SHARE * shorter


def namesakes_of(target: object, features: Sequence[object]) -> tuple[str, ...]:
    """Return the features that are called like the target, such as `fraud_subtype` beside `is_fraud`.

    A word that more than two features have is the table's subject. The words of a target that is a kind or a state of
    something, such as `loan_status`, are that thing; then only a feature that says nothing else is its namesake.
    A feature of an earlier event, such as `previous_fraud`, is none.

    Example:
        >>> namesakes_of("is_fraud", ["FraudSubtype", "amount"])
        ('FraudSubtype',)
        >>> namesakes_of("loan_status", ["loan_amount", "loan state"])
        ('loan state',)
    """
    its_words = column_words(target)
    of_a_thing = bool(its_words) and _KIND_OF_A_THING.fullmatch(its_words[-1]) is not None
    its = {str(name): column_words(name) for name in features}
    words = {name: _telling(of) for name, of in its.items() if not _EARLIER.intersection(of)}
    found: dict[str, None] = {}
    for about in _telling(its_words):
        having = [name for name, of in words.items() if any(is_one_word(about, word) for word in of)]
        if len(having) > _SUBJECT and not of_a_thing:
            continue
        for name in having:
            others = [word for word in words[name] if not is_one_word(about, word)]
            if not (of_a_thing and others):
                found[name] = None
    return tuple(name for name in words if name in found)


def _telling(words: Sequence[str]) -> list[str]:
    return [word for word in words if not _SAYS_NOTHING.fullmatch(word)]


def _by_capitals(run: str) -> list[str]:
    """Split letters where a capital follows a small letter, and before the last capital of several: `HTTPServer`."""
    starts = [
        place
        for place in range(1, len(run))
        if run[place].isupper() and (run[place - 1].islower() or run[place + 1 : place + 2].islower())
    ]
    return [run[start:end] for start, end in zip([0, *starts], [*starts, len(run)], strict=True)]


def _split(word: str) -> tuple[str, ...]:
    if word == "dateofbirth":
        return "date", "of", "birth"
    joined = _JOINED.fullmatch(word)
    return (joined[1], joined[2]) if joined else (word,)
