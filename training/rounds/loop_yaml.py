"""A loop as a small YAML file."""

from __future__ import annotations

from typing import Any

import yaml

from labeling.domain.sentences import sentence as _
from training.config_fields import ConfigError
from training.rounds.loops import Loop, parse_loop


class _PlainLoader(yaml.SafeLoader):
    """Reads fields and values alone: an alias can grow beyond any memory, a date is no value."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias."""
        events: Any = self
        if events.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem_mark=events.peek_event().start_mark)
        return super().compose_node(parent, index)


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def from_yaml(text: str) -> Loop:
    """Return the loop that a small YAML file describes. Raises ConfigError."""
    try:
        found = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - safer than SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        mark = getattr(problem, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ConfigError({"yaml": [_("Line {line} is no YAML.", line=line)]}) from None
    if not isinstance(found, dict):
        text = _("A loop is written as fields and their values, one a line.")
        raise ConfigError({"yaml": [text]})
    return parse_loop(found)


def to_yaml(loop: Loop) -> str:
    """Return the loop as `from_yaml` reads it, in the order of its fields."""
    return yaml.safe_dump(loop.to_json(), sort_keys=False, allow_unicode=True)
