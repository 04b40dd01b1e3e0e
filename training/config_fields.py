"""What a field of a config is: type, help, limits, and how a form's text becomes its value."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from reprlib import repr as brief
from typing import Any, cast

from labeling.domain.sentences import sentence as _

Value = bool | int | float | str

_TYPES: dict[str, Any] = {"bool": bool, "int": int, "float": float, "str": str}
_TRUE = frozenset({"true", "on", "yes", "1"})
_FALSE = frozenset({"false", "off", "no", "0"})


def conflicts_of_room(max_new_tokens: int, max_length: int) -> list[tuple[str, str]]:
    """Return what is wrong where the longest reply leaves no token for a prompt."""
    if max_new_tokens < max_length:
        return []
    text = _(
        "max_new_tokens {max_new_tokens} leaves no room for a prompt within "
        "max_length ({max_length}): lower the one or raise the other.",
        max_new_tokens=max_new_tokens,
        max_length=max_length,
    )
    return [("max_new_tokens", text)]


class ConfigError(ValueError):
    """A config that can't be used; `errors` maps a field's name to the sentences about it."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        self.errors: dict[str, list[str]] = {name: list(texts) for name, texts in errors.items()}
        super().__init__(" ".join(text for texts in self.errors.values() for text in texts))


@dataclass(frozen=True, kw_only=True)
class FieldSpec:
    """What a form or an API schema needs to know of one field."""

    name: str
    type: type[bool] | type[int] | type[float] | type[str]
    default: Value
    help: str
    group: str
    choices: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None


def option(
    default: Value,
    group: str,
    help: str,
    *,
    choices: tuple[str, ...] | None = None,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> Any:
    """A dataclass field with what a form needs to know in its metadata; `within` is inclusive."""
    spec = {"help": help, "group": group, "choices": choices, "within": within}
    return field(default=default, metadata=spec)


def specs_of(kind: type[Any]) -> list[FieldSpec]:
    """What the options of a config class say, in the order of its fields."""
    return [
        FieldSpec(
            name=item.name,
            type=_TYPES[str(item.type)],
            default=cast("Value", item.default),
            help=item.metadata["help"],
            group=item.metadata["group"],
            choices=item.metadata["choices"],
            minimum=_finite(item.metadata["within"][0]),
            maximum=_finite(item.metadata["within"][1]),
        )
        for item in dataclasses.fields(kind)
    ]


def _finite(limit: float) -> float | None:
    return limit if math.isfinite(limit) else None


def convert(spec: FieldSpec, raw: Any) -> Value:
    """The value in the field's type; ValueError with a sentence where that would lose anything."""
    if spec.type is bool:
        return _to_bool(spec, raw)
    if spec.type is str:
        if not isinstance(raw, str):
            raise ValueError(
                _("{name} is {value}: write a word.", name=spec.name, value=brief(raw))
            )
        return raw
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError(_("{name} is {value}: write a number.", name=spec.name, value=brief(raw)))
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        raise ValueError(
            _("{name} is {value}: write a number.", name=spec.name, value=brief(raw))
        ) from None
    if spec.type is float or not math.isfinite(number):
        return number
    if number != int(number):
        raise ValueError(
            _("{name} is {value}: write a whole number.", name=spec.name, value=brief(raw))
        )
    return int(number)


def _to_bool(spec: FieldSpec, raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    word = raw.strip().lower() if isinstance(raw, str) else None
    if word not in _TRUE | _FALSE:
        raise ValueError(
            _("{name} is {value}: write true or false.", name=spec.name, value=brief(raw))
        )
    return word in _TRUE


def limit_problem(spec: FieldSpec, value: Value) -> str | None:
    """A sentence on how the value leaves the field's limits, or None."""
    allowed: tuple[type, ...] = (int, float) if spec.type is float else (spec.type,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and spec.type is not bool):
        return _(
            "{name} is {value}: it must be of type {type}.",
            name=spec.name,
            value=repr(value),
            type=spec.type.__name__,
        )
    if spec.choices is not None and value not in spec.choices:
        return _(
            "{name} is {value}: use one of {known}.",
            name=spec.name,
            value=repr(value),
            known=", ".join(spec.choices),
        )
    if isinstance(value, bool | str):
        return None
    if not math.isfinite(value):
        return _("{name} is {value}: write a finite number.", name=spec.name, value=repr(value))
    if spec.minimum is not None and value < spec.minimum:
        return _(
            "{name} is {value}: use {limit} or more.",
            name=spec.name,
            value=value,
            limit=f"{spec.minimum:g}",
        )
    if spec.maximum is not None and value > spec.maximum:
        return _(
            "{name} is {value}: use {limit} or less.",
            name=spec.name,
            value=value,
            limit=f"{spec.maximum:g}",
        )
    return None


def read_fields(kind: type[Any], mapping: Mapping[str, Any], unknown: Callable[[str], str]) -> Any:
    """Return a config of a class from a form's strings or the API's values; others take defaults.

    `unknown` says of a name that it is no field. Raises ConfigError with the sentences by field.
    """
    specs = {spec.name: spec for spec in specs_of(kind)}
    values: dict[str, Value] = {}
    errors: dict[str, list[str]] = {}
    for name, raw in mapping.items():
        if name not in specs:
            errors[name] = [unknown(name)]
            continue
        try:
            values[name] = convert(specs[name], raw)
        except ValueError as problem:
            errors[name] = [problem.args[0]]  # the sentence itself, with its parts
    try:
        config = kind(**values)
    except ConfigError as found:
        raise ConfigError({**found.errors, **errors}) from None
    if errors:
        raise ConfigError(errors)
    return config


class Checked:
    """A config that exists is valid: each field is checked, then the fields together."""

    def __post_init__(self) -> None:
        """Raise ConfigError with the sentences by field."""
        errors: dict[str, list[str]] = {}
        for spec in specs_of(type(self)):
            problem = limit_problem(spec, getattr(self, spec.name))
            if problem:
                errors.setdefault(spec.name, []).append(problem)
        for name, problem in self._conflicts() if not errors else ():
            errors.setdefault(name, []).append(problem)
        if errors:
            raise ConfigError(errors)

    def _conflicts(self) -> list[tuple[str, str]]:
        """Pairs of a field's name and a sentence on how it disagrees with another field."""
        return []


@dataclass(frozen=True, kw_only=True)
class Config(Checked):
    """What every recipe has."""

    device: str = option(
        "auto",
        "machine",
        "Where to compute: auto takes a GPU if the machine has one.",
        choices=("auto", "cpu"),
    )
    precision: str = option(
        "fp32",
        "machine",
        "Number format of the forward and backward pass; the weights themselves stay in fp32.",
        choices=("fp32", "bf16"),
    )
    threads: int = option(
        0,
        "machine",
        "CPU threads of each process; 0 lets PyTorch choose, and only a fixed number "
        "makes a run repeatable to the bit.",
        within=(0, 1024),
    )
    max_length: int = option(
        512,
        "data",
        "Longest prompt and reply together, in tokens; longer rows are dropped and counted.",
        within=(8, 1_048_576),
    )
