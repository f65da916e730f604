"""Find prose that is hard to read: phrases of a list, and sentences that have a clause as their subject.

`python -m support.prose` reads README, the documents, and every docstring, comment and text in the code. It prints its
findings, one a line, and exits with 1 if there are any.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PHRASES = Path(__file__).with_name("phrases.txt")
CODE = ("blocks", "tasks", "flows", "deployments", "infra", "examples")
DOCUMENTS = ("*.md", "docs/**/*.md", ".github/**/*.md")
NOT_YET = Path(__file__).with_name("prose_not_yet.txt")
"""Folders and files whose prose still has findings, each with their number; it may only fall."""

_CLAUSE_FIRST = re.compile(r"(What|Who|Whoever|Whatever|Whichever|Whose)\b[^?]*\Z", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n\s*\n|\n(?=\s*[-*|#>]|\s*\d+\. |\s*[A-Za-z_]+: )")
_CODE_SPAN = re.compile(r"```.*?```|``[^`]*``|`[^`]*`|https?://\S+|\]\([^)]*\)", re.DOTALL)


@dataclass(frozen=True)
class Finding:
    """A phrase at a place."""

    path: str
    line: int
    phrase: str
    advice: str

    def __str__(self) -> str:
        """Return the finding as compilers print theirs."""
        return f"{self.path}:{self.line}: {self.phrase!r}: {self.advice}"


@dataclass(frozen=True)
class Text:
    """A piece of prose, and the line that it begins at."""

    line: int
    content: str
    of_code: bool = True


def read_phrases(content: str) -> list[tuple[re.Pattern[str], str]]:
    """Return each pattern with its advice."""
    lines = [line for line in content.splitlines() if line.strip() and not line.startswith("#")]
    pairs = [re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in lines]
    return [(re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), advice) for pattern, advice in pairs]


def findings_in(path: str, text: Text, phrases: list[tuple[re.Pattern[str], str]]) -> Iterator[Finding]:
    """Yield what is wrong with a text."""
    content = _CODE_SPAN.sub(lambda code: re.sub(r"[^\n]", "_", code.group()), text.content)
    spaced = re.sub(r"[ \t]*\n[ \t]*(?:#:? )?", lambda _: "\n", content)
    for pattern, advice in phrases:
        flexible = spaced.replace("\n", " ")
        for match in pattern.finditer(flexible):
            yield Finding(path, text.line + spaced.count("\n", 0, match.start()), match.group(), advice)
    start = 0
    for sentence in _SENTENCE_END.split(spaced):
        start = spaced.find(sentence, start)
        first = sentence.strip()
        if _CLAUSE_FIRST.match(first) and (text.of_code or first.endswith(".")):
            line = text.line + spaced.count("\n", 0, start)
            yield Finding(path, line, first.split("\n")[0][:60], "begin with the subject, or the verb")


def texts_of_code(source: str) -> Iterator[Text]:
    """Yield docstrings, other texts of two words or more, and comments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield Text(node.lineno, node.value)
    comment: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        words = token.string.lstrip("#: ")
        if comment and token.start[0] == last + 1:
            comment.append(words)
        else:
            if comment:
                yield Text(first, "\n".join(comment))
            comment, first = [words], token.start[0]
        last = token.start[0]
    if comment:
        yield Text(first, "\n".join(comment))


def texts_of_document(content: str) -> Iterator[Text]:
    """Yield the document, without its blocks of code and its headings."""
    content = re.sub(r"(?ms)^( *)```.*?^\1```", lambda block: re.sub(r"[^\n]", "", block.group()), content)
    content = re.sub(r"(?m)^(?: {4,}(?![-*\d])|#).*$", "", content)
    yield Text(1, content, of_code=False)


def check(root: Path = ROOT) -> list[Finding]:
    """Return all findings under a folder."""
    phrases = read_phrases(PHRASES.read_text(encoding="utf-8"))
    findings: list[Finding] = []
    paths = [path for folder in CODE for path in sorted((root / folder).rglob("*.py"))]
    paths += sorted({path for pattern in DOCUMENTS for path in root.glob(pattern)})
    for path in paths:
        name = path.relative_to(root).as_posix()
        content = path.read_text(encoding="utf-8")
        texts = texts_of_code(content) if path.suffix == ".py" else texts_of_document(content)
        findings += [finding for text in texts for finding in findings_in(name, text, phrases)]
    return findings


def above_limits(findings: list[Finding], limits: str) -> list[Finding]:
    """Return the findings of each folder that has more of them than its limit.

    Args:
        findings: All findings.
        limits: Lines of a folder or file and a number. Every other place may have none.
    """
    allowed = {name: int(number) for name, number in (line.split() for line in limits.splitlines() if line)}
    places: dict[str, list[Finding]] = {}
    for finding in findings:
        place = next((name for name in allowed if finding.path == name or finding.path.startswith(f"{name}/")), "")
        places.setdefault(place, []).append(finding)
    return [finding for place, result in places.items() if len(result) > allowed.get(place, 0) for finding in result]


if __name__ == "__main__":
    found = check()
    if "--all" not in sys.argv:
        found = above_limits(found, NOT_YET.read_text(encoding="utf-8"))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
