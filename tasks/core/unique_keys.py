"""YAML in which each key of a mapping stands once. PyYAML takes the last of several in silence."""

from typing import Any

import yaml


class RepeatedKeyError(yaml.YAMLError):
    """A key is written twice in one mapping."""


class UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a repeated key, and keys that differ by spelling alone, such as `a` and `"a"`."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return the node of a mapping, before merged keys are added to it.

        Raises:
            RepeatedKeyError: A key is written twice.
        """
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in lines:
                places = f"twice in line {line}" if lines[key.value] == line else f"in line {lines[key.value]}"
                again = "" if lines[key.value] == line else f" and again in line {line}"
                raise RepeatedKeyError(f"{key.value}: the key is written {places}{again}; remove one of them")
            lines[key.value] = line
        return node
