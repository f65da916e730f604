"""Whether what a command says of a fault is fit for people."""

import re

_NOT_FOR_PEOPLE = re.compile(r"Traceback|panicked at|^\s+File \"|\[SQL:|run `everfit --debug", re.MULTILINE)


def wrong_words(code: int, out: str, err: str) -> list[str]:
    """Say what is wrong with the words with which a command ended after a fault.

    Args:
        code: The command's exit code.
        out: Standard output.
        err: Standard error.
    """
    wrong = []
    if found := _NOT_FOR_PEOPLE.search(out + "\n" + err):
        wrong.append(f"{found[0]!r} in what it wrote: {last_words(out, err)}")
    if code not in {0, 1, 2}:
        wrong.append(f"ended with {code}: {last_words(out, err)}")
    if code and not (out + err).strip():
        wrong.append("said nothing")
    return wrong


def last_words(out: str, err: str) -> str:
    """Return the end of what a command wrote, as one line."""
    return " ".join((out[-400:] + " | " + err[-600:]).split())
