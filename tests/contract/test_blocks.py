"""Every block is what Prefect asks of a block, and is registered by the name of the package."""

import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from datetime import timedelta
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlparse

import pytest
from PIL import Image
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr

import everfit.blocks
from everfit.blocks.errors import SourceError
from everfit.blocks.policy import format_duration, parse_duration
from everfit.blocks.spec import ModelSpec
from everfit.tasks.models.signatures import new_key, public_key, read_signing_key


def all_blocks() -> list[type[Block]]:
    result = set()
    for module in pkgutil.walk_packages(everfit.blocks.__path__, "everfit.blocks."):
        for _, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(member, Block) and member.__module__.startswith("everfit.blocks."):
                result.add(member)
    return sorted(result, key=lambda block: block.__name__)


@pytest.mark.parametrize("block", all_blocks(), ids=lambda block: block.__name__)
class TestBlocks(BlockStandardTestSuite):
    # Prefect's own check fetches the logo; this one looks at the file that is published there.
    def test_has_a_valid_image(self, block: type[Block], root: Path) -> None:
        url = urlparse(str(block._logo_url))
        assert url.scheme == "https"
        _, _, path = url.path.partition("/main/")
        with Image.open(root / path) as logo:
            assert logo.width == logo.height
            assert 45 < logo.width < 1000

    def test_is_told_at_the_top_of_the_package(self, block: type[Block]) -> None:
        assert getattr(everfit.blocks, block.__name__) is block


def test_there_are_blocks() -> None:
    assert "ModelSpec" in [block.__name__ for block in all_blocks()]


def test_prefect_finds_the_collection_by_its_entry_point() -> None:
    (collection,) = [
        entry_point for entry_point in entry_points(group="prefect.collections") if entry_point.name == "everfit"
    ]
    assert collection.load() is everfit.blocks


@pytest.mark.usefixtures("prefect_server")
def test_blocks_are_registered_by_the_name_of_the_package() -> None:
    from prefect.settings import get_current_settings

    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    registered = subprocess.run(
        [Path(sys.executable).with_name("prefect"), "block", "register", "-m", "everfit.blocks"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert registered.returncode == 0, registered.stdout + registered.stderr
    for block in all_blocks():
        assert block._block_type_name in registered.stdout


@pytest.mark.usefixtures("prefect_server")
def test_a_key_may_be_in_a_secret_block(tmp_path: Path) -> None:
    public = new_key(tmp_path / "key.pem")
    Secret(value=SecretStr((tmp_path / "key.pem").read_text())).save("everfit-signing-key", overwrite=True)

    assert public_key(read_signing_key(SecretStr("block:everfit-signing-key"))) == public
    with pytest.raises(SourceError, match="EVERFIT_SIGNING_KEY: there is no Secret block 'no-such-key'"):
        read_signing_key(SecretStr("block:no-such-key"))


def test_what_the_form_fills_in_for_a_key_that_is_left_out_can_be_read() -> None:
    """Prefect's form sends the defaults of the schema, which has spans of time as ISO 8601 writes them."""
    defaults = ModelSpec.model_json_schema()["definitions"]
    filled = [
        (name, key, each["default"])
        for name, section in defaults.items()
        for key, each in section.get("properties", {}).items()
        if isinstance(each.get("default"), str) and re.fullmatch(r"P[\dTYMDHSW.]+", each["default"])
    ]
    assert filled
    for _, _, default in filled:
        assert parse_duration(format_duration(parse_duration(default))) == parse_duration(default)
    assert parse_duration("PT0.02S") == timedelta(milliseconds=20)
    for wrong in ("P", "PIG", "-P1D"):
        with pytest.raises(ValueError, match="is not a duration"):
            parse_duration(wrong)
