"""The proposal of a spec for a table, with reasons."""

from itertools import combinations

import pandas as pd

from everfit.blocks.errors import SpecError
from everfit.blocks.metrics import TaskKind
from everfit.blocks.training import CANDIDATES, DEFAULT_CANDIDATES
from everfit.deployments.init.entity import propose_entity
from everfit.deployments.init.holdout import propose_holdout
from everfit.deployments.init.look import Look, distinct_share, has_whole_numbers
from everfit.deployments.init.names import is_named_as_identifier, is_named_as_protected
from everfit.deployments.init.proposal import Proposal
from everfit.deployments.init.prose import MOST_COLUMNS, try_text
from everfit.deployments.init.spellings import padded_key_notes, spelling_notes
from everfit.deployments.init.time_like import mark_spans, why_its_time_is_no_feature
from everfit.deployments.init.times import Choose, propose_times
from everfit.deployments.init.window import propose_window
from everfit.tasks.core.column_words import namesakes_of
from everfit.tasks.evaluation.leakage import filled_with_the_label, parts_of_the_target, suspected_leaks

MAX_CLASSES = 20
_FREE_TEXT = "free text"
_CLEARLY = 0.9
"""A feature that is called like the target, and alone predicts it so well, is left out."""
_FREE_TEXT_LENGTH, _FREE_TEXT_SHARE, _IDENTIFIER_SHARE = 40, 0.5, 0.9
_NUMBERED_ROWS = 50
"""Up to this number of rows, unique values may be chance."""
_FEW_ROWS = 5_000  # a forest of more rows makes a large file
_LEAK_ROWS = 20_000


def propose(
    seen: Look,
    target: str,
    *,
    name: str,
    task: TaskKind | None = None,
    event_time: str | None = None,
    label_time: str | None = None,
    key: tuple[str, ...] = (),
    choose: Choose | None = None,
) -> Proposal:
    """Propose a spec. The choices of a person are kept.

    Args:
        seen: The look at the data.
        target: The column to predict.
        name: The name of the model.
        task: The kind of prediction, if a person chose it.
        event_time: The column with the event's time, if a person chose it.
        label_time: The column with the label's time, if a person chose it.
        key: The columns that identify a row, if a person chose them.
        choose: Asks a person where several columns may be the event time. By default the likeliest is taken.

    Raises:
        SpecError: A chosen column doesn't exist, or the target can't be predicted.
    """
    frame = seen.frame
    for option, column in [
        ("--event-time", event_time),
        ("--label-time", label_time),
        *(("--key", name) for name in key),
    ]:
        if column is not None and column not in frame.columns:
            raise SpecError(
                f"{option} {column!r} is not a column; the columns are {', '.join(map(repr, frame.columns))}"
            )
    for option, column in (("--event-time", event_time), ("--label-time", label_time)):
        if column is not None and column not in seen.times:
            raise SpecError(
                f"{option} {column!r} has no times; a value is {frame[column].iloc[0]!r}. Give a column of times"
            )
    made = Proposal(name=name, task=task or _task(frame[target]), target=target)
    if made.task != "regression" and frame[target].nunique() < 2:
        raise SpecError(
            f"--target {target!r} has only the value {frame[target].dropna().tolist()[0]!r}; give a column that varies"
        )
    propose_times(seen, made, event_time, label_time, choose)
    if seen.rows < _FEW_ROWS:
        usual = [name for name in DEFAULT_CANDIDATES if made.task in CANDIDATES[name]]
        made.candidates = (usual[0], "random_forest", *usual[1:])
    made.key = key or _key(seen, made)
    made.notes += [f"{remark[0].upper()}{remark[1:]}." for remark in seen.remarks]
    made.ignored |= seen.left_out
    _features(seen, made)
    computed = {*made.features} - {*made.key} | ({target} if made.task == "regression" else set())
    made.numbers = {column: kind for column, kind in seen.numbers.items() if column in computed}
    for column, kind in made.numbers.items():
        written = f"text in {kind.unit}" if kind.unit else "text"
        made.notes.append(f"{column!r} has numbers written as {written}; columns.numbers takes them for numbers.")
    spellings = spelling_notes(frame[list(dict.fromkeys([target, *made.features]))])
    spellings |= padded_key_notes(frame[list(made.key)])
    made.notes += spellings.values()
    made.any_spelling = list(spellings)
    made.entity = propose_entity(seen, made)
    propose_holdout(seen, made)
    propose_window(seen, made)
    return made


def _task(target: pd.Series) -> TaskKind:
    present = target.dropna()
    if present.empty:
        raise SpecError(f"--target {target.name!r} is empty; give a column with values")
    distinct = int(present.nunique())
    if distinct == 2:
        return "binary"
    if not pd.api.types.is_numeric_dtype(present.dtype):
        if distinct > MAX_CLASSES * 5:
            raise SpecError(
                f"--target {target.name!r} has {distinct:,} different texts; give numbers, or fewer classes"
            )
        return "multiclass"
    # A few frequent whole numbers are classes.
    return (
        "multiclass"
        if has_whole_numbers(present) and distinct <= MAX_CLASSES and len(present) >= 20 * distinct
        else "regression"
    )


def _key(seen: Look, made: Proposal) -> tuple[str, ...]:
    """Return the fewest columns that identify a row. Duplicate rows count as one."""
    frame = seen.distinct
    likely = [
        name
        for name in frame.columns
        if name not in {made.target, made.label_time}
        and not _is_prose(frame[name])
        and frame[name].notna().all()
        and (
            name == made.event_time
            or _is_identifier(frame[name])
            or (frame[name].dtype == "str" and frame[name].nunique() < 1000)
        )
    ]
    named = [name for name in likely if is_named_as_identifier(name) and distinct_share(frame, [name]) == 1.0]
    if named:
        return (named[0],)
    if made.event_time is not None:
        if distinct_share(frame, [made.event_time]) == 1.0:
            return (made.event_time,)
        others = [name for name in likely if name != made.event_time][:12]
        for size in (1, 2, 3):
            for chosen in combinations(others, size):
                if distinct_share(frame, [made.event_time, *chosen]) == 1.0:
                    return (made.event_time, *chosen)
    repeated = len(seen.frame) - len(frame)
    if repeated:
        made.notes.append(
            f"No column identifies a row, so the whole row does. {repeated:,} of {len(seen.frame):,} sampled rows are "
            f"duplicates, and each of them counts once."
        )
    return ()


def _is_prose(column: pd.Series) -> bool:
    """Return whether a column holds sentences."""
    if column.dtype != "str":
        return False
    present = column.dropna()
    long = float(present.str.len().mean()) > _FREE_TEXT_LENGTH if len(present) else False
    return long and present.nunique() > _FREE_TEXT_SHARE * len(present)


def _is_identifier(column: pd.Series) -> bool:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return not pd.api.types.is_datetime64_any_dtype(column.dtype) and column.nunique() > _IDENTIFIER_SHARE * len(
            column
        )
    return has_whole_numbers(column) and is_named_as_identifier(column.name)


def _counts_rows(column: pd.Series) -> bool:
    """Return whether a column numbers the rows: unique whole numbers without a gap.

    Such a column alone is no key, since the numbers may restart in the next file.
    """
    present = column.dropna()
    if (
        not pd.api.types.is_numeric_dtype(present.dtype)
        or not has_whole_numbers(present)
        or len(present) <= _NUMBERED_ROWS
    ):
        return False
    return present.is_unique and int(present.max()) - int(present.min()) == len(present) - 1


def _features(seen: Look, made: Proposal) -> None:
    frame = seen.frame
    roles = {made.target, made.event_time, made.label_time, *made.key}
    for name in frame.columns:
        if name in made.key and made.key != (name,) and name != made.event_time and not _is_identifier(frame[name]):
            made.features.append(name)  # a part of the key may be informative, such as a shop or a route
        if name in roles:
            continue
        reason = _reason_to_ignore(frame[name], seen, made)
        if reason is None:
            made.features.append(name)
        else:
            made.ignored[name] = reason
        if is_named_as_protected(name) and frame[name].nunique() > 1:
            made.protected.append(name)
    _leave_leaks_out(frame, made)
    mark_spans(seen, made)
    _try_texts(frame, made)
    if not made.features:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(made.ignored.items())[:5])
        used = ", ".join(repr(name) for name in frame.columns if name in roles)
        raise SpecError(
            f"no column is left as a feature besides {used}{f' ({reasons})' if reasons else ''}; add columns"
        )


def _try_texts(frame: pd.DataFrame, made: Proposal) -> None:
    """Make features of the columns of free text whose words help on validation rows."""
    columns = [name for name, reason in made.ignored.items() if reason == _FREE_TEXT]
    others = list(made.features)
    for name in columns[:MOST_COLUMNS]:
        trial = try_text(frame, name, others, made.target, made.task, time=made.event_time)
        if trial.helps:
            del made.ignored[name]
            made.features.append(name)
            made.texts.append(name)
            made.doubtful[name] = trial.reason
        else:
            made.ignored[name] = trial.reason


def _leave_leaks_out(frame: pd.DataFrame, made: Proposal) -> None:
    """Move features that seem to know the target to the ignored ones, and mark those that are only called like it."""
    labelled = frame[frame[made.target].notna()]
    if len(labelled) > _LEAK_ROWS:
        labelled = labelled.sample(_LEAK_ROWS, random_state=0)
    for name in suspected_leaks(labelled[made.features], labelled[made.target], made.task):
        made.features.remove(name)
        made.ignored[name] = (
            "suspected leak: it alone nearly predicts the target; use it only if it is known before the event"
        )
    parts = parts_of_the_target(labelled[made.features], labelled[made.target], made.task)
    for name in parts:
        made.features.remove(name)
        made.ignored[name] = (
            f"suspected leak: {' and '.join(parts)} together give the target; use them only if known before the event"
        )
    for name in filled_with_the_label(frame[made.features], frame[made.target].notna().to_numpy()):
        made.features.remove(name)
        made.ignored[name] = "suspected leak: it is empty where the target is not known"
    namesakes = list(namesakes_of(made.target, made.features))
    clearly = suspected_leaks(labelled[namesakes], labelled[made.target], made.task, suspicious=_CLEARLY)
    for name in namesakes:
        if name in clearly:
            made.features.remove(name)
            made.ignored[name] = (
                f"suspected leak: it is called like {made.target} and alone predicts it well; use it only if it is "
                f"known before the event"
            )
        else:
            made.doubtful[name] = f"called like {made.target}: ignore it unless it is known before the event"


def _reason_to_ignore(column: pd.Series, seen: Look, made: Proposal) -> str | None:
    """Return why a column should not be a feature, or None if it may be one."""
    present = column.dropna()
    if column.nunique(dropna=False) == 1:  # one value or missing may be informative
        return "empty" if present.empty else f"constant: always {present.tolist()[0]!r}"
    if (reason := why_its_time_is_no_feature(column, seen, made.event_time)) is not None:
        return reason
    if _is_prose(column):
        return _FREE_TEXT
    if (amount := _written_amount(present)) or _names_rows(present):
        as_text = f"numbers written as text in several ways, such as {amount!r}"
        return (
            f"{as_text}: write them as plain numbers to use them"
            if amount
            else "identifier: nearly unique in every row"
        )
    return None


_AMOUNT = r"[$€£¥₹]?\s?\(?[-+]?[$€£¥₹]?\s?(?:\d{1,3}(?:[.,' ]\d{3})+|\d+)(?:[.,]\d+)?\)?\s?(?:%|[$€£¥₹]|[A-Z]{3})?"
"""A number with a currency, a percent sign, brackets for minus, or separators of thousands."""
_MOSTLY_AMOUNTS = 0.9


def _written_amount(present: pd.Series) -> str | None:
    """Return an example if nearly all texts are numbers written for people, with a sign that is no part of a number."""
    if pd.api.types.is_numeric_dtype(present.dtype) or not pd.api.types.is_string_dtype(present.dtype):
        return None
    texts = present.iloc[:1_000].astype("str").str.strip()
    signed = texts[texts.str.contains(r"[^\d\s-]", regex=True)]
    if signed.nunique() <= _NUMBERED_ROWS or texts.str.fullmatch(_AMOUNT).mean() < _MOSTLY_AMOUNTS:
        return None
    return str(signed.iloc[0])


def _names_rows(present: pd.Series) -> bool:
    """Return whether the values only identify the row: nearly every row has its own."""
    share = present.nunique() / len(present)
    if not pd.api.types.is_numeric_dtype(present.dtype):
        return share > _IDENTIFIER_SHARE and len(present) > _NUMBERED_ROWS
    return has_whole_numbers(present) and (
        (share > 0.99 and is_named_as_identifier(present.name)) or _counts_rows(present)
    )
