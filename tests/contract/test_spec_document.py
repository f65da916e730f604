"""docs/spec.md is what `make docs` writes; its examples are specs, and its links lead somewhere."""

import inspect
import re

import pytest
from support.spec_document import DOCUMENT, document
from support.spec_examples import EXAMPLES

from everfit.tasks.core.spec_loading import read_spec


def test_the_document_is_what_the_classes_say() -> None:
    assert document() == DOCUMENT.read_text(encoding="utf-8"), "run `make docs`"


@pytest.mark.parametrize("path", EXAMPLES)
def test_each_example_is_part_of_a_valid_spec(path: str) -> None:
    given = inspect.cleandoc(EXAMPLES[path])
    keys = re.findall(r"^\w+", given, flags=re.MULTILINE)
    rest = [line for line in inspect.cleandoc(EXAMPLES[""]).splitlines() if line.partition(":")[0] not in keys]
    read_spec("\n".join([*rest, given]), path)


def test_every_link_leads_to_a_heading_and_every_example_is_shown() -> None:
    text = document()
    headings = {name.replace(".", "") for name in re.findall(r"^#+ `([\w.]+)`$", text, flags=re.MULTILINE)}
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= headings
    assert all(inspect.cleandoc(example) in text for example in EXAMPLES.values())


def test_the_ten_keys_at_the_beginning_are_keys_and_their_example_is_a_spec() -> None:
    beginning = document().partition("## All keys")[0]
    keys = re.findall(r"^\| `([\w.]+)` \|", beginning, flags=re.MULTILINE)
    example = re.findall(r"^```yaml\n(.*?)^```", beginning, flags=re.DOTALL | re.MULTILINE)[0]
    content = read_spec(example, "the first example").model_dump(exclude_unset=True)
    assert len(keys) == 10
    for key in keys:
        part = content
        for name in key.split("."):
            part = part[name]
