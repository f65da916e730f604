"""Send a message by notification blocks of Prefect. A message that does not arrive is kept, and sent again."""

import logging
import re
from typing import Any

from pydantic import SecretStr

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.events import is_in_run
from everfit.tasks.core.outside_text import terminal_text
from everfit.tasks.incidents.default_receivers import ReceiversByProject
from everfit.tasks.incidents.message import Message

_ADDRESS = re.compile(r"\w+://[^\s'\"]+")
_LONGEST = 300

logger = logging.getLogger("everfit.incidents")

DEFAULT_BLOCK = "everfit_notification"
"""The Prefect variable with the block of `everfit bootstrap --notify`."""


class ReceiversUnknownError(EverfitError):
    """The server did not say who is notified."""


def receivers_of(named: tuple[str, ...] | None, model: str) -> tuple[str, ...]:
    """Return the blocks that a message goes to: those that a spec names, or that of the project's bootstrap.

    Args:
        named: The blocks of the spec; None if it names none.
        model: The name of the model.

    Raises:
        ReceiversUnknownError: The server that knows it does not answer.
    """
    if named is not None:
        return named
    if not _has_server():
        return ()
    from prefect.variables import Variable

    try:
        found: Any = Variable.get(DEFAULT_BLOCK, default=None)
    except Exception as error:  # of the server, or of the connection to it
        problem = _without_addresses(str(error)) or type(error).__name__
        raise ReceiversUnknownError(f"the variable {DEFAULT_BLOCK} can't be read: {problem}") from error
    block = ReceiversByProject.read(found).of(model)
    return () if block is None else (block,)


def load_notification_services() -> None:
    """Load what the first message needs. That takes seconds on a busy machine, which a watch should not lose."""
    from everfit.blocks import NotificationAddress

    NotificationAddress(url=SecretStr("json://localhost"))  # the check of an address loads all services of Apprise


def deliver(message: Message, receiver: str) -> str:
    """Send a message by one block.

    Args:
        message: The message.
        receiver: The block, as `type/name`.

    Returns:
        Why it did not arrive; empty if it did.
    """
    if not _has_server():
        return "no Prefect server is configured; set PREFECT_API_URL"
    from prefect.blocks.core import Block

    from everfit.blocks import NotificationAddress

    try:
        block: Any = Block.load(receiver)
        if isinstance(block, NotificationAddress) and message.picture:
            if not block.notify_with_picture(message.body, message.subject, message.picture):
                return "the service refused it; is the address right?"
            return ""
        with block.raise_on_failure():
            block.notify(body=message.body, subject=message.subject)
    except Exception as error:  # noqa: BLE001 - whatever a service does, the flow goes on
        return _without_addresses(str(error)) or type(error).__name__
    return ""


def _has_server() -> bool:
    """Return whether there is a server to ask; Prefect would start one of its own otherwise, which takes long."""
    from prefect.settings import get_current_settings

    return is_in_run() or get_current_settings().api.url is not None


def _without_addresses(text: str) -> str:
    """Return an error without addresses: that of a web hook is a secret."""
    return _ADDRESS.sub("its address", terminal_text(" ".join(text.split())))[:_LONGEST]
