"""The data of flows' final states, remembered where they ran.

If the answer to a run's last change of state is lost, as on a busy server, Prefect asks again. The server then returns
its own copy of the state, which lacks the flow's data. The caller in this process still gets the data from here.
"""

from collections import OrderedDict
from typing import Any

from prefect import runtime
from prefect.client.schemas.objects import State

from everfit.tasks.core.outside_text import message_text

_MOST = 50
"""The number of final states that are remembered in a process that runs flows for days."""

_found: OrderedDict[str, Any] = OrderedDict()


def ended(state: State[Any]) -> State[Any]:
    """Remember what the present flow run ends with; call it as the flow returns.

    Args:
        state: As the flow made it.

    Returns:
        The same state; its message, which notifications quote, has no tags.
    """
    if state.message:
        state.message = message_text(state.message)
    if run := runtime.flow_run.id:
        _found[str(run)] = state.data
        while len(_found) > _MOST:
            _found.popitem(last=False)
    return state


def found_by(state: State[Any]) -> Any:
    """Return the data of a flow run's final state; None if it ran elsewhere, or long ago."""
    return _found.get(str(state.state_details.flow_run_id))
