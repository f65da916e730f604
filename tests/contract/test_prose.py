"""The checker of prose finds what it is for, and nothing in plain sentences."""

import pytest
from support.prose import (
    PHRASES,
    Finding,
    Text,
    above_limits,
    findings_in,
    read_phrases,
    texts_of_code,
    texts_of_document,
)

LIST = read_phrases(PHRASES.read_text(encoding="utf-8"))


def found(source: str) -> list[tuple[int, str]]:
    return [
        (finding.line, finding.phrase) for text in texts_of_code(source) for finding in findings_in("a.py", text, LIST)
    ]


@pytest.mark.parametrize(
    ("source", "line", "phrase"),
    [
        ('"""Read the file anew."""', 1, "anew"),
        (
            '\n\ndef f():\n    """Return the labels.\n\n    Labels that have come\n    true are kept.\n    """',
            6,
            "come true",
        ),
        ("x = 1\n# Labels that\n# were told.", 3, "told"),
        ('raise ValueError(f"{x} was put right")', 1, "put right"),
        ('x = Field(description="What is known at this moment.")', 1, "What is known at this moment."),
    ],
)
def test_a_phrase_of_the_list_is_found_at_its_line(source: str, line: int, phrase: str) -> None:
    assert found(source) == [(line, phrase)]


def test_plain_sentences_pass() -> None:
    assert (
        found('"""Return the labels that are known.\n\n    Raises:\n        ValueError: If there are none.\n    """')
        == []
    )
    assert found('x = "What do you want to predict?"') == []
    assert found("told = 1  # `told` in a code span") == []


def test_headings_and_code_of_documents_are_left_out() -> None:
    content = "# What the demo shows\n\n```\ntold\n```\n\nThe labels are told.\nWhat is known counts.\n"
    (text,) = texts_of_document(content)
    assert [(finding.line, finding.phrase) for finding in findings_in("a.md", text, LIST)] == [
        (7, "told"),
        (8, "What is known counts."),
    ]


def test_an_entry_of_the_list_is_a_pattern_and_an_advice() -> None:
    assert all(advice for _, advice in LIST)
    assert list(findings_in("a.py", Text(1, "nothing here"), LIST)) == []


def test_a_folder_may_have_as_many_findings_as_its_limit_and_others_none() -> None:
    old = [Finding("tasks/gate/a.py", line, "told", "") for line in (1, 2)]
    new = Finding("flows/b.py", 1, "anew", "")
    assert above_limits(old, "tasks/gate 2") == []
    assert above_limits([*old, new], "tasks/gate 2") == [new]
    assert above_limits([*old, new], "tasks/gate 1") == [*old, new]
