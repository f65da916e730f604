"""Patches of a spec: read, applied, and written into a spec file."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.deliveries import SPEC

from everfit.blocks.errors import SpecError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.spec_loading import read_spec, yaml_content
from everfit.tasks.rehearsal.patches import changed_keys, difference, patched, read_patch, write_patch
from everfit.tasks.rehearsal.recommendation import NEVER

TEXT = """\
# A spec with comments.
name: deliveries
task: binary

source:
  kind: files
  path: deliveries/*.csv

columns: {key: [id], event_time: sent_at, label_time: known_at, target: late}

training:
    # all of it
    window: auto  # or its newest part
    candidates:
      - logistic_regression

# How long until labels are known.
maturity: 1d
"""


def test_a_patch_keeps_the_neighbours_of_its_keys() -> None:
    spec = ModelSpec.model_validate(SPEC)
    changed = patched(spec, {"training": {"window": "all"}}, "a patch")
    assert changed.training.window == "all"
    assert changed.training.candidates == ("logistic_regression",)
    assert spec.training.window == "auto"


def test_a_patch_that_makes_no_valid_spec_is_refused_by_its_name() -> None:
    with pytest.raises(SpecError, match=r"the policy 'long': training\.windw: there is no such key"):
        patched(ModelSpec.model_validate(SPEC), {"training": {"windw": "all"}}, "the policy 'long'")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "changes nothing"),
        ("policy: x\n", "changes nothing"),
        ("[1]\n", "changes nothing"),
        ("columns: {target: other}\n", "'columns', so it could not be compared"),
        ("a: [\n", "is not YAML"),
    ],
)
def test_a_policy_that_can_not_be_compared_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=problem):
        read_patch(str(path))


def test_a_policy_is_named_by_itself_or_its_file(tmp_path: Path) -> None:
    path = tmp_path / "drift.yaml"
    path.write_text("retraining:\n  on: drift\n")
    assert read_patch(str(path)) == ("drift", {"retraining": {"on": "drift"}})
    path.write_text("policy: by drift\nretraining:\n  on: drift\n")
    assert read_patch(str(path))[0] == "by drift"
    with pytest.raises(SpecError, match="can't be read"):
        read_patch(str(tmp_path / "none.yaml"))


def whole(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    path = tmp_path / "main.yaml"
    path.write_text(yaml.safe_dump(SPEC | changes))
    name, content = read_patch(str(path))
    assert name == "main"
    return content


def test_another_whole_spec_is_compared_by_the_keys_in_which_it_differs(tmp_path: Path) -> None:
    limits = {"fairness": {"max_demographic_parity_difference": 0.1}, "clients": {"max_share": 0.5}, "window": "14d"}
    changed = {"monitoring": limits, "training": {**SPEC["training"], "window": "all"}}
    here, there = ModelSpec.model_validate(SPEC | changed), ModelSpec.model_validate(SPEC)

    patch = difference(here, whole(tmp_path), "the policy 'main'")

    assert patched(here, patch, "main").content() == there.content()
    assert patched(there, difference(there, whole(tmp_path, **changed), "main"), "main").content() == here.content()
    assert set(patch) == {"monitoring", "training"}


def test_another_spec_of_other_rows_and_the_same_spec_are_refused(tmp_path: Path) -> None:
    spec = ModelSpec.model_validate(SPEC)

    with pytest.raises(SpecError, match="another 'maturity' than the spec"):
        difference(spec, whole(tmp_path, maturity="3d"), "the policy 'main'")
    with pytest.raises(SpecError, match="is the spec as it is"):
        difference(spec, whole(tmp_path), "the policy 'main'")


@pytest.mark.parametrize(
    "patch",
    [
        {"training": {"window": "all"}},
        {"training": {"candidates": ["ridge", "random_forest"]}},
        {"training": {"holdout": "7d"}},
        dict(NEVER),
        {"gate": {"comparison": "non_inferiority"}, "maturity": "2d"},
        {"retraining": {"budget": {"turns": 3}}},
    ],
)
def test_a_written_patch_changes_its_keys_and_no_other_line(patch: dict[str, Any]) -> None:
    written = write_patch(TEXT, patch, "By everfit rehearse: why")
    before, after = yaml.safe_load(TEXT), yaml_content(written, "the spec")
    plain = yaml_content(yaml.safe_dump(patch), "the patch")
    for section, keys in plain.items():
        if isinstance(keys, dict):
            assert {name: after[section][name] for name in keys} == keys
        else:
            assert after[section] == keys
    gone = [line for line in TEXT.splitlines() if line not in written.splitlines()]
    changed = {name for keys in patch.values() if isinstance(keys, dict) for name in keys} | set(patch)
    assert all(line.strip().split(":")[0].removeprefix("- ") in {*changed, "logistic_regression"} for line in gone)
    assert "# By everfit rehearse: why" in written
    assert set(before) <= set(after)


def test_deeper_keys_keep_their_neighbours_in_the_file() -> None:
    text = TEXT + "\nretraining:\n  budget:\n    turns: 9\n    per: 7d\n  cooldown: 1d\n"
    written = read_spec(write_patch(text, {"retraining": {"budget": {"turns": 3}}}, "why"), "the spec")
    assert (written.retraining.budget.turns, written.retraining.budget.per.days) == (3, 7)
    assert written.retraining.cooldown.days == 1


def test_a_written_never_is_read_as_a_name() -> None:
    spec = read_spec(write_patch(TEXT, dict(NEVER), "why"), "the spec")
    assert (spec.retraining.on, spec.retraining.cadence) == ("nothing", "never")


def test_a_key_in_quotes_is_changed_where_it_is() -> None:
    """Given YAML by a program, which writes `on` in quotes, then the key is there once, and one comment says why."""
    text = TEXT + "'retraining':\n  'on': nothing\n  \"cadence\" : never\n"
    patch = {"retraining": {"cadence": "adaptive", "on": "loss"}}
    written = write_patch(text, patch, "why")
    assert written.endswith("'retraining':\n  on: loss\n  # why\n  cadence: adaptive\n")
    assert read_spec(written, "the spec").retraining.on == "loss"


def test_a_section_on_one_line_is_left_to_a_person() -> None:
    with pytest.raises(SpecError, match="'columns' is written on one line"):
        write_patch(TEXT, {"columns": {"target": "x"}}, "why")


def test_a_patch_is_described_by_its_keys() -> None:
    patch = {"training": {"window": "all", "candidates": ["ridge"]}, "maturity": "2d"}
    assert list(changed_keys(patch)) == ["training.window: all", "training.candidates: [ridge]", "maturity: 2d"]
