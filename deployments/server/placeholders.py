"""Fill the placeholders of `prefect.yaml` and `automations.yaml`: a model's name, the project's, the code's version."""

from collections.abc import Sequence
from typing import Any

MODEL = "{{ $EVERFIT_MODEL }}"
"""The placeholder of the model's name, in Prefect's syntax of an environment variable."""

MODELS, PROJECT = "{{ $EVERFIT_MODELS }}", "{{ $EVERFIT_PROJECT }}"
"""The placeholders of an entry for the whole installation: the names of all models, and the project's name.

A text with the first one becomes a list, of the text with each name.
"""

VERSION, NOTIFICATION = "{{ code.stdout }}", "{{ notification }}"
"""The placeholders of the commit and of the notification block's id."""


def filled_entries(entry: dict[str, Any], models: Sequence[str], values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an entry with its placeholders filled: one for each model if it names a model, otherwise one.

    Args:
        entry: As it is written.
        models: The names of the models.
        values: The values of the other placeholders.
    """
    values |= {MODELS: list(models)}
    if not has_placeholder(entry, MODEL):
        return [_filled(entry, values)]
    return [_filled(entry, {MODEL: model, **values}) for model in models]


def has_placeholder(value: Any, placeholder: str) -> bool:
    """Return whether a placeholder is anywhere in an entry, or in a part of one."""
    if isinstance(value, dict):
        return any(has_placeholder(part, placeholder) for part in value.values())
    if isinstance(value, list):
        return any(has_placeholder(part, placeholder) for part in value)
    return isinstance(value, str) and placeholder in value


def _filled(value: Any, values: dict[str, Any]) -> Any:
    if isinstance(value, str):
        for placeholder, texts in values.items():
            if isinstance(texts, list) and placeholder in value:
                return [_filled(value.replace(placeholder, text), values) for text in texts]
        for placeholder, text in values.items():
            value = value if isinstance(text, list) else value.replace(placeholder, text)
        return value
    if isinstance(value, dict):
        return {key: _filled(part, values) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, values) for part in value]
    return value
