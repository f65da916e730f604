"""The column whose rows hang together, such as the customer: found by its name and by values that repeat."""

import re

import pandas as pd

from everfit.deployments.init.look import Look
from everfit.deployments.init.proposal import Proposal

_FEWEST = 20
"""Fewer values are categories, such as regions."""
_REPEATS = 2.0
"""The least number of rows that a value has on average."""
_ENTITY = re.compile(
    r"(^|_)(customer|client|user|patient|account|member|person|subscriber|household|employee|student|borrower|driver|"
    r"device|machine|vehicle|engine|sensor|meter|store|shop|station|site|merchant|supplier|seller|tail_?num\w*|imei|vin|"
    r"msisdn)(_?(id|no|nr|num|number|key|code|name))?$"
)
_IDENTIFIER = re.compile(r"_(id|key|uuid|guid)$")


def propose_entity(seen: Look, made: Proposal) -> str | None:
    """Return the column whose rows hang together, and take it from the features if it is an identifier.

    Args:
        seen: The sample of the table.
        made: The proposal so far: roles and features.
    """
    taken = {made.target, made.event_time, made.label_time, *(made.key if len(made.key) == 1 else ())}
    names = [name for name in seen.frame.columns if name not in taken and name not in seen.times]
    found = [name for name in names if _repeats(seen.frame[name])]
    named = [name for name in found if _ENTITY.search(str(name).lower())]
    named += [name for name in found if name not in named and _IDENTIFIER.search(str(name).lower())]
    if not named:
        return None
    entity = str(max(named, key=lambda name: (bool(_ENTITY.search(str(name).lower())), seen.frame[name].nunique())))
    if entity in made.features and len(made.features) > 1 and _only_names(seen.frame[entity]):
        made.features.remove(entity)
    made.ignored.pop(entity, None)
    return entity


def _repeats(column: pd.Series) -> bool:
    """Return whether there are enough values, with enough rows each, for the rows of a value to hang together."""
    present = column.dropna()
    values = present.nunique()
    return values >= _FEWEST and len(present) >= _REPEATS * values


def _only_names(column: pd.Series) -> bool:
    """Return whether a column is an identifier by its name: what a model learns of one helps with no other."""
    return re.search(r"(^|_)(id|key|uuid|guid|no|nr|num|number)$", str(column.name).lower()) is not None
