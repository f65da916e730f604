"""Numbers that are written for people: with a unit, separators of thousands, brackets for minus, or a decimal comma."""

import math
import re
import unicodedata
from collections.abc import Sequence

from everfit.tasks.storage.kinds import MOSTLY, Amount

_BLANKS = " '’"  # noqa: RUF001 - Swiss texts separate thousands by this apostrophe
_SIGNS = "+-"


def read_amount(text: str, kind: Amount) -> float:
    """Return the number that a text means; NaN if it means none, or one of another unit.

    The unit may be left out, as a number of JSON has none. `45 %` is 45.

    Args:
        text: The value as it is written.
        kind: Says the decimal mark and the unit.

    Example:
        >>> [read_amount(text, Amount.of(".", "$")) for text in ("$1,234.50", "(5 $)", "-$.5", "7", "7 EUR")]
        [1234.5, -5.0, -0.5, 7.0, nan]
    """
    rest = " ".join(text.replace("\u2212", "-").split())  # a minus sign as typesetters write it
    signs, units = [], 0
    while rest:
        if rest[0] in _SIGNS:
            signs.append(rest[0])
            rest = rest[1:]
        elif rest[-1] == "-":
            signs.append("-")
            rest = rest[:-1]
        elif rest[0] == "(" and rest[-1] == ")":
            signs.append("-")
            rest = rest[1:-1]
        elif kind.unit and rest.startswith(kind.unit):
            units += 1
            rest = rest.removeprefix(kind.unit)
        elif kind.unit and rest.endswith(kind.unit):
            units += 1
            rest = rest.removesuffix(kind.unit)
        else:
            break
        rest = rest.strip()
    if len(signs) > 1 or units > 1:
        return math.nan
    size = _plain_number(rest, kind.decimal)
    return -size if signs == ["-"] else size


def _plain_number(text: str, decimal: str) -> float:
    thousands = re.escape(_BLANKS + ("," if decimal == "." else "."))
    mark = re.escape(decimal)
    fraction = rf"(?:{mark}\d*)?"
    plain = rf"(?:\d+{fraction}|{mark}\d+)(?:[eE][-+]?\d+)?"
    grouped = rf"\d{{1,3}}([{thousands}])\d{{3}}(?:\1\d{{3}})*{fraction}"
    if decimal == "." and re.fullmatch(rf"\d{{1,2}}(?:,\d{{2}})+,\d{{3}}{fraction}", text):  # as in 1,23,456
        return float(text.replace(",", ""))
    if re.fullmatch(plain, text):
        return float(text.replace(decimal, "."))
    if re.fullmatch(grouped, text):
        return float(re.sub(f"[{thousands}]", "", text).replace(decimal, "."))
    return math.nan


def amount_kind(texts: Sequence[str]) -> Amount | None:
    """Return how nearly all texts write numbers; None if they are no such numbers, or of several units.

    Codes, phone numbers and the like are no numbers: a unit is a currency, a percent sign or three capital letters, and
    without a unit only a decimal comma, brackets, or thousands of different size show a number.

    Args:
        texts: Values of a column of text.
    """
    some = [" ".join(text.replace("\u2212", "-").split()) for text in texts]
    if not some:
        return None
    units = {unit for text in some if (unit := re.sub(r"[-+\d\s.,()'’]", "", text))}  # noqa: RUF001 - see _BLANKS
    common = {unit for unit in units if sum(unit in text for text in some) > (1 - MOSTLY) * len(some)}
    if len(common) > 1 or not all(map(_is_unit, common)):
        return None
    unit = next(iter(common), "")
    best, share = Amount.of(".", unit), 0.0
    for decimal in (".", ","):
        kind = Amount.of(decimal, unit)
        read = sum(not math.isnan(read_amount(text, kind)) for text in some) / len(some)
        if read > share:
            best, share = kind, read
    if share < MOSTLY or any(re.match(r"[-+(]*0\d", text) for text in some):
        return None
    if unit or best.decimal == "," or any(text.startswith("(") for text in some):
        return best
    lengths = {len(re.split(f"[{_BLANKS},]", text)) for text in some}
    return best if len(lengths) > 1 else None


def _is_unit(text: str) -> bool:
    return (len(text) == 1 and (unicodedata.category(text) == "Sc" or text in "%‰")) or bool(
        re.fullmatch("[A-Z]{3}", text)
    )
