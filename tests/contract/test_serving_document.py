"""docs/serving.md knows every path of the service."""

import re
from pathlib import Path

DOCUMENT = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()


def test_every_path_is_told() -> None:
    from everfit.infra.serving.access import Tokens
    from everfit.infra.serving.app import create_app

    own = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}
    served = {route.path for route in create_app({}, Tokens(None)).routes if hasattr(route, "path")}
    assert served - own == set(re.findall(r"(?:GET|POST) (/[\w{}/]+)`", DOCUMENT.split("## Settings")[0]))
