"""Resolve secrets: literal, from the environment, or from a Prefect block."""

import os

from pydantic import SecretStr

from everfit.blocks.errors import SourceError


def reveal(secret: SecretStr, what: str) -> str:
    """Return the value of a secret.

    Args:
        secret: The secret itself, `env:NAME` or `block:NAME`.
        what: Name of the field for error messages, such as `source.url`.

    Raises:
        SourceError: If the variable or block doesn't exist.
    """
    kind, _, name = (text := secret.get_secret_value()).partition(":")
    if kind == "env":
        if not os.environ.get(name):
            raise SourceError(f"{what} refers to the environment variable {name!r}, which is not set; set it")
        return os.environ[name]
    if kind == "block":
        from prefect.blocks.system import Secret

        try:
            block = Secret.load(name)
        except ValueError as error:
            raise SourceError(f"{what}: there is no Secret block {name!r}; create it in Prefect") from error
        return str(block.get())  # type: ignore[union-attr]
    return text
