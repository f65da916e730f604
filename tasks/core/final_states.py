"""What flows ended with, remembered where they ran.

Where the answer to a run's last change of state is lost, as on a busy server, Prefect asks again; the server then
gives the state that it has, which lacks what the flow found. Whoever ran the flow in this process is to have it still.
"""

from collections import OrderedDict
from typing import Any

from prefect import runtime
from prefect.client.schemas.objects import State

_MOST = 50
"""Of a process that runs flows for days, so many are remembered."""

_found: OrderedDict[str, Any] = OrderedDict()


def ended(state: State[Any]) -> State[Any]:
    """Remember what the present flow run ends with; call it as the flow returns.

    Args:
        state: As the flow made it.

    Returns:
        The same state.
    """
    if run := runtime.flow_run.id:
        _found[str(run)] = state.data
        while len(_found) > _MOST:
            _found.popitem(last=False)
    return state


def found_by(state: State[Any]) -> Any:
    """What the flow run of a final state ended with; None if it wasn't run in this process, or long ago."""
    return _found.get(str(state.state_details.flow_run_id))
