"""Principles of a constitution: read from plain YAML, hashed, and drawn by a seed.

A principle says three things (Constitutional AI, 2212.08073, appendix C): what a reply is to be
criticized for, how it is then to be revised, and by what the better one of two replies is known.
Pure: recipes read principles from their run folder and draw them here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from labeling.domain.sentences import sentence as _
from training.config_fields import ConfigError

MOST_PRINCIPLES: Final = 200
LONGEST: Final = 2000
_MOST_TEXT: Final = 500_000
_KEY: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_TEXTS: Final = ("critique", "revision", "comparison")
_FIELDS: Final = ("key", *_TEXTS)
_NAMES: Final = ", ".join(_FIELDS)
SHIPPED: Final = Path(__file__).with_name("default.yaml")


@dataclass(frozen=True, kw_only=True)
class Principle:
    """One principle: how a critique, a revision and a comparison by it are asked for."""

    key: str
    critique: str
    revision: str
    comparison: str

    def to_json(self) -> dict[str, str]:
        """Return its four texts, as `principles_from` reads them again."""
        return asdict(self)


def draw_principle(seed: int, key: str, principles: Sequence[Principle]) -> Principle:
    """Return the principle of one item: the same for the same seed, key and constitution.

    `key` says what the item is, such as a comparison's uid, or a prompt and the round of its
    revision. Neither the order of the items nor how often one asks changes what is drawn.
    """
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return principles[int.from_bytes(digest[:8]) % len(principles)]


def sha256_of(principles: Iterable[Principle]) -> str:
    """Return the hash by which a version's principles are known: over all texts, in order."""
    rows = [principle.to_json() for principle in principles]
    said = json.dumps(rows, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def principles_from(rows: Iterable[Mapping[str, Any]]) -> list[Principle]:
    """Return principles as they were stored or lie in a run's folder."""
    return [Principle(**{name: row[name] for name in _FIELDS}) for row in rows]


def to_yaml(principles: Iterable[Principle]) -> str:
    """Return the text that `parse_principles` reads, the principles in their order."""
    rows = [principle.to_json() for principle in principles]
    return yaml.safe_dump({"principles": rows}, sort_keys=False, allow_unicode=True, width=96)


def shipped_text() -> str:
    """Return the small constitution that comes with the project, as YAML."""
    return SHIPPED.read_text(encoding="utf-8")


def parse_principles(text: str) -> list[Principle]:
    """Return the principles of a YAML text: a list of `key`, and three texts each.

    Raises ConfigError of the field `text` with a sentence for each fault, by its line.
    """
    faults: list[str] = []
    found: dict[str, Principle] = {}
    for node in _entries(text):
        texts = _texts(node, faults)
        if texts is None:
            continue
        if texts["key"] in found:
            line, key = node.start_mark.line + 1, texts["key"]
            faults.append(_("Line {line}: two principles have the key {key}.", line=line, key=key))
        found[texts["key"]] = Principle(**texts)
    if not faults and len(found) > MOST_PRINCIPLES:
        faults.append(_("A constitution has at most {most} principles.", most=MOST_PRINCIPLES))
    if not faults and not found:
        faults.append(_("Write at least one principle."))
    if faults:
        raise ConfigError({"text": faults})
    return list(found.values())


def _entries(text: str) -> Iterator[yaml.Node]:
    """Yield the nodes of the list `principles`. Nothing is built of them: an alias costs nothing.

    Raises ConfigError where there is no such list.
    """
    if len(text) > _MOST_TEXT:
        raise _refused(_("The text is longer than {most} characters.", most=_MOST_TEXT))
    try:
        root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        mark = getattr(problem, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise _refused(_("Line {line} is no YAML.", line=line)) from None
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    for name, _value in pairs:
        if name.value != "principles":
            at, said = name.start_mark.line + 1, _shown(name.value)
            raise _refused(
                _("Line {line}: {name} is no field here: use principles.", line=at, name=said)
            )
    if len(pairs) != 1 or not isinstance(pairs[0][1], yaml.SequenceNode):
        raise _refused(_("Begin with a line “principles:”, and list the principles under it."))
    yield from pairs[0][1].value


def _texts(node: yaml.Node, faults: list[str]) -> dict[str, str] | None:
    """Return a principle's four texts, or None after adding what is wrong to `faults`."""
    before, line = len(faults), node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        faults.append(
            _("Line {line}: a principle has the fields {fields}.", line=line, fields=_NAMES)
        )
        return None
    texts: dict[str, str] = {}
    for name, value in node.value:
        problem = _problem(name, value, texts)
        if problem:
            faults.append(problem)
        else:
            texts[name.value] = value.value.strip()
    missing = [name for name in _FIELDS if name not in texts]
    if missing and len(faults) == before:
        names = ", ".join(missing)
        faults.append(_("Line {line}: this principle lacks {names}.", line=line, names=names))
    return texts if len(faults) == before else None


def _problem(name: yaml.Node, value: yaml.Node, texts: Mapping[str, str]) -> str | None:
    """Return what is wrong with one field of a principle, if anything."""
    line, said = name.start_mark.line + 1, _shown(name.value)
    if name.value not in _FIELDS:
        return _(
            "Line {line}: {name} is no field: use {fields}.", line=line, name=said, fields=_NAMES
        )
    if name.value in texts:
        return _("Line {line}: {name} stands twice in this principle.", line=line, name=said)
    if not isinstance(value, yaml.ScalarNode) or not value.value.strip():
        return _("Line {line}: write a text for {name}.", line=line, name=said)
    if name.value == "key" and not _KEY.fullmatch(value.value.strip()):
        return _(
            "Line {line}: a key has up to 60 small letters, digits, hyphens or underscores.",
            line=line,
        )
    if len(value.value) > LONGEST:
        return _(
            "Line {line}: {name} is longer than {most} characters.",
            line=line,
            name=said,
            most=LONGEST,
        )
    if not _is_storable(value.value):
        return _(
            "Line {line}: {name} holds a character that no text may have.", line=line, name=said
        )
    return None


def _refused(said: str) -> ConfigError:
    return ConfigError({"text": [said]})


def _is_storable(text: str) -> bool:
    """Return whether files and the database take a text: no NUL, no half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)


def _shown(value: Any) -> str:
    """Return a name as a sentence may hold it: one that is itself a list has none."""
    return value[:60] if isinstance(value, str) else "?"
