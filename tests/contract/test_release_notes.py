"""The notes of a release are its section of CHANGELOG.md."""

import pytest
from support.release_notes import notes_of

CHANGELOG = "# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-01-02\n\n### Added\n\n- This.\n\n## 0.1.0\n\n- That.\n"


def test_the_notes_are_the_section_of_the_version() -> None:
    assert notes_of(CHANGELOG, "0.2.0") == "### Added\n\n- This."
    assert notes_of(CHANGELOG, "0.1.0") == "- That."


@pytest.mark.parametrize("version", ["0.3.0", "Unreleased"])
def test_a_version_without_notes_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match="add them under"):
        notes_of(CHANGELOG, version)
