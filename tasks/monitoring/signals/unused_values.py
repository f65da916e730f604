"""The columns of the source that a model does not read, for the rows that it answered."""

import logging

import pandas as pd

from everfit.blocks.errors import EverfitError
from everfit.tasks.batch.source_rows import read_rows
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.tables import KEY
from everfit.tasks.storage.values import bring_known

logger = logging.getLogger("everfit.monitoring")


def unused_values(monitored: MonitoredModel, window: Window, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the source's columns that no role and no feature names, ignored and newly arrived ones, as of now.

    A source that can't be read is a note: a look must not fail by a hint.

    Args:
        monitored: The monitored model.
        window: The event times of the rows.
        rows: The answered rows, with `_key`; shape (rows, columns).

    Returns:
        The columns, with the index of the rows; missing where the source has no such row.
    """
    context, roles = monitored.context, monitored.context.spec.columns
    key = list(roles.key)
    if not key or roles.event_time is None:
        return pd.DataFrame(index=rows.index)
    used = {*roles.named(), *roles.protected, *monitored.features, *monitored.texts, *rows.columns} - {*roles.ignore}
    try:
        kinds, parts = read_kinds(context.workspace, context.spec.name), []
        for chunk in read_rows(context, window, joins=False):
            found = bring_known(chunk[key], {name: kinds[name] for name in key if name in kinds})
            others = [name for name in chunk.columns if name not in used and not name.startswith("_")]
            own = chunk[others].set_axis(pd.Index(row_keys(found, key)))
            parts.append(own[own.index.isin(rows[KEY])])
    except EverfitError as error:
        logger.info("columns that the model does not read are not looked at: %s", error)
        return pd.DataFrame(index=rows.index)
    if not parts:
        return pd.DataFrame(index=rows.index)
    values = pd.concat(parts)
    return values[~values.index.duplicated(keep="last")].reindex(rows[KEY]).set_axis(rows.index)
