"""docs/serving.md knows every setting, with its default, and every path of the service."""

import re
from datetime import timedelta
from pathlib import Path

from everfit.blocks.policy import format_duration
from everfit.blocks.serving import ServingPolicy

DOCUMENT = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()


def shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    return f"`{str(value).lower()}`"


def test_every_setting_is_told_with_its_default() -> None:
    section = DOCUMENT.split("## Settings")[1].split("\n## ")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", section, flags=re.MULTILINE))
    assert told == {name: shown(value) for name, value in ServingPolicy()}


def test_every_path_is_told() -> None:
    from everfit.infra.serving.access import Tokens
    from everfit.infra.serving.app import create_app

    own = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}
    served = {route.path for route in create_app({}, Tokens(None)).routes if hasattr(route, "path")}
    assert served - own == set(re.findall(r"(?:GET|POST) (/[\w{}/]+)`", DOCUMENT.split("## Settings")[0]))
