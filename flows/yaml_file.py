"""Reading of small, plain YAML: no tags, no aliases, no repeated keys, a size limit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from .config_errors import ConfigError

MAX_BYTES = 64 * 1024


class _PlainLoader(yaml.SafeLoader):
    """A safe loader that refuses what a configuration never needs."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node; an alias could make a small file unfold into a huge one."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; YAML itself would let the last of two equal keys win silently."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a key must be plain text", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# YAML 1.1 reads 1e-3 as text because it has no point; everyone means the number.
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def parse_yaml(text: str, where: str) -> Any:
    """Return what the YAML ``text`` says; ``where`` names its source in errors.

    Raises:
        ConfigError: The text is not YAML, or uses tags, aliases or a key twice.
    """
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 (a subclass of SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        raise ConfigError(f"{place}: {' '.join(str(error.problem).split())}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML: {' '.join(str(error).split())}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not readable: {type(error).__name__}: {error}") from error


def read_yaml(path: Path) -> Any:
    """Return what the YAML file at ``path`` says.

    Raises:
        ConfigError: There is no such file, it is too large, not UTF-8 or not plain YAML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes; is this a configuration?")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: byte {error.start} is wrong") from error
    return parse_yaml(text, path.name)
