"""Secrets of sources: given, or where they are."""

import os

from pydantic import SecretStr

from everfit.blocks.errors import SourceError


def reveal(secret: SecretStr, what: str) -> str:
    """The secret itself.

    Args:
        secret: The secret, or `env:NAME`, or `block:NAME`.
        what: Named in errors, such as `source.url`.

    Raises:
        SourceError: there is no such variable or block.
    """
    kind, _, name = (text := secret.get_secret_value()).partition(":")
    if kind == "env":
        if not os.environ.get(name):
            raise SourceError(f"{what} is to come from the environment variable {name!r}, which is not set")
        return os.environ[name]
    if kind == "block":
        from prefect.blocks.system import Secret

        try:
            block = Secret.load(name)
        except ValueError as error:
            raise SourceError(f"{what}: there is no Secret block {name!r}; make it in Prefect") from error
        return str(block.get())  # type: ignore[union-attr]
    return text
