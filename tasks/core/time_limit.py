"""Ask a store that may not answer."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def answer_within(seconds: float, read: Callable[[], T]) -> T:
    """Return what a function returns.

    Args:
        seconds: Time for the answer; the function goes on in the background after it.
        read: The function.

    Raises:
        TimeoutError: It took longer.
        Exception: The function raised it.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            answers.append(read())
        except Exception as error:  # noqa: BLE001 - it is raised in the thread that waits
            errors.append(error)

    asking = threading.Thread(target=ask, name="everfit-store", daemon=True)
    asking.start()
    asking.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError("it does not answer")
    return answers[0]
