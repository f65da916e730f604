"""The site's pages that are made from other files: those at the top of the repository, and one per API module."""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
FROM_THE_TOP = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "reporting.md": "SECURITY.md",
}
API = ("everfit.tasks", "everfit.flows", "everfit.blocks")
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that have no file in docs/."""
    for page, name in FROM_THE_TOP.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text()))
    for module in API:
        content = f"# {module}\n\n::: {module}\n"
        files.append(File.generated(config, f"api/{module}.md", content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Point links at the page of the site, or at the repository for a file that the site does not have."""
    source = FROM_THE_TOP.get(page.file.src_uri)
    folder = (ROOT / source).parent if source else (ROOT / "docs" / page.file.src_uri).parent
    depth = page.file.src_uri.count("/")
    pages = {(ROOT / name).resolve(): page for page, name in FROM_THE_TOP.items()}

    def place(link: re.Match[str]) -> str:
        start, target, end = link.groups()
        path = (folder / target).resolve()
        if "://" in target or target.startswith("mailto:") or not path.exists():
            return link.group()
        if path in pages:
            return f"{start}{'../' * depth}{pages[path]}{end}"
        if path.is_relative_to(ROOT / "docs") and files.get_file_from_path(path.relative_to(ROOT / "docs").as_posix()):
            return f"{start}{'../' * depth}{path.relative_to(ROOT / 'docs').as_posix()}{end}"
        return f"{start}{config.repo_url.rstrip('/')}/blob/main/{path.relative_to(ROOT).as_posix()}{end}"

    return _LINK.sub(place, markdown)
