"""Stored pages of other libraries run what the library has in them, and nothing that data has brought in."""

import base64
import hashlib

import pytest

from everfit.tasks.core.page_policy import SELF_CONTAINED, policy_of, with_policy

SHELL = """<!doctype html><html><head lang="en"><title>x</title>
<link rel="stylesheet" href="https://styles.example/a.css"><script src="https://scripts.example/a.js"></script>
<script>begin();</script></head><body><header>top</header><button onclick="show()">all</button></body></html>"""


def digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def test_the_scripts_of_the_shell_are_allowed_and_no_others() -> None:
    policy = policy_of(SHELL)

    (scripts,) = [part for part in policy.split("; ") if part.startswith("script-src")]
    assert scripts.split()[1:] == [
        "https://scripts.example/a.js",
        "'unsafe-hashes'",
        digest("begin();"),
        digest("show()"),
    ]
    assert "style-src 'unsafe-inline' https://styles.example/a.css" in policy
    assert "default-src 'none'" in policy
    assert digest("steal()") not in policy_of(SHELL)


def test_the_policy_comes_first_in_the_head_and_once() -> None:
    page = with_policy(SHELL, SELF_CONTAINED)

    assert page.count("Content-Security-Policy") == 1
    assert page.index("Content-Security-Policy") < page.index("<title>")
    assert page.startswith('<!doctype html><html><head lang="en"><meta http-equiv="Content-Security-Policy"')
    with pytest.raises(ValueError, match="no head"):
        with_policy("<p><header>x</header></p>", SELF_CONTAINED)
