"""Text from data acts neither in a page, nor in a spreadsheet, nor in a terminal."""

from pathlib import Path

import pandas as pd
import pytest
from prefect.states import Completed

from everfit.tasks.core.final_states import ended
from everfit.tasks.core.outside_text import cell_text, markdown_text, message_text, page_text, terminal_text
from everfit.tasks.predictions.label_files import GivenLabel, read_file, write_file

SCRIPT = "</script><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ä, 中", "plain text, ä, 中"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b]0;title\x07", "\ufffd]0;title\ufffd"),
        ("over\rwritten", "over\ufffdwritten"),
        ("\u202egnp.exe", "\ufffdgnp.exe"),
    ],
)
def test_a_terminal_gets_no_control_characters(text: str, shown: str) -> None:
    assert terminal_text(text) == shown


def test_a_page_gets_no_markup_at_any_depth() -> None:
    assert page_text({"a<b": [SCRIPT, 1, None], "c": ("<i>",)}) == {
        "a[b": ["[/script][script]alert(1)[/script]", 1, None],
        "c": ("[i]",),
    }


def test_markdown_gets_no_tags_links_or_further_cells() -> None:
    given = "<img src=x> ![x](https://evil.example)\n| next | \x1b[2J `code`"
    assert markdown_text(given) == (
        r"\<img src=x> !\[x\](https://evil.example) \| next \| " + "\ufffd" + r"\[2J `code`"
    )


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (r"\<img src=x>", r"\\\<img src=x>"),  # a backslash of the data's own must not escape the one that is added
        (r"\[x\](https://evil.example)", r"\\\[x\\\](https://evil.example)"),
        (r"\\<b>", r"\\\\\<b>"),
        (r"C:\new", r"C:\new"),
        ("end\\", r"end\\"),
    ],
)
def test_a_backslash_in_the_data_escapes_nothing_in_markdown(given: str, shown: str) -> None:
    assert markdown_text(given) == shown


def test_a_notification_gets_no_mentions_and_no_links_with_other_names() -> None:
    assert message_text("<!channel> <https://evil.example|here> but 1 < 2 <= 3") == (
        "< !channel> < https://evil.example|here> but 1 < 2 <= 3"
    )
    assert message_text("@everyone, ask ann@example.com [here](https://evil.example)") == (
        "@ everyone, ask ann@example.com [here] (https://evil.example)"
    )
    state = ended(Completed(name="Done", message="<b>bold</b>", data={}))
    assert state.message == "< b>bold< /b>"


@pytest.mark.parametrize(
    "text", ["=cmd|'/c calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\n=1", " =1", "\u2028=1", "\uff1d1"]
)
def test_a_spreadsheet_computes_nothing(text: str, tmp_path: Path) -> None:
    assert cell_text(text) == f"'{text}"
    rows = pd.DataFrame({"_prediction_id": ["id-1"], "city": [text], "x": [-1.5]})
    (path,) = write_file(rows, tmp_path / "queue.csv", "csv", ["0", "1"], "late")

    written = pd.read_csv(path, dtype=str)
    assert written["city"].iloc[0].startswith("'")
    assert written["x"].iloc[0] == "-1.5"
    assert read_file(path) == [GivenLabel("id-1", None)]
