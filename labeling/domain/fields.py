"""Reading the fields of one JSON line, with errors that name the field and say what is right."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from labeling.domain.content import ContentError, check_text
from labeling.domain.sentences import sentence as _

MAX_SMALL, MAX_NUMBER = 2**15 - 1, 2**31 - 1  # what the database's whole numbers hold


class RecordError(ValueError):
    """A line can't be taken. `field` names the part at fault, `reason` says why."""

    def __init__(self, field_name: str, reason: str) -> None:
        super().__init__(f"{field_name}: {reason}")
        self.field = field_name
        self.reason = reason


def load_object(line: str) -> dict[str, Any]:
    """Return the JSON object of a line, of which a database can keep every text and number.

    Raises RecordError.
    """
    value = _loaded(line)
    if not isinstance(value, dict):
        raise RecordError("line", _("must be one JSON object."))
    for name, part in value.items():
        _check_storable(part, name)
    return value


def load_list(text: str, name: str) -> list[Any]:
    """Return a JSON list, of which a database can keep every text and number.

    Raises RecordError, which names the field.
    """
    try:
        value = _loaded(text)
    except RecordError as error:
        raise RecordError(name, error.reason) from None
    if not isinstance(value, list):
        raise RecordError(name, _("must be a JSON list."))
    _check_storable(value, name)
    return value


def _loaded(line: str) -> Any:
    """Return the value of a JSON text, whose numbers are all finite; raise RecordError."""
    try:
        return json.loads(line, parse_constant=_no_number, parse_float=_finite)
    except json.JSONDecodeError as error:
        reason = _(
            "is no JSON: {problem} at column {column}.", problem=error.msg, column=error.colno
        )
        raise RecordError("line", reason) from None
    except RecursionError:
        raise RecordError("line", _("is nested too deeply.")) from None
    except RecordError:
        raise
    except ValueError:  # digits beyond what Python turns into a number
        raise RecordError("line", _("holds a number of too many digits.")) from None


def _no_number(name: str) -> None:
    raise RecordError("line", _("holds {name}, which is no JSON number.", name=name))


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise RecordError(
            "line", _("holds {digits}, which is beyond what a number can keep.", digits=digits)
        )
    return number


def _check_storable(value: Any, name: str) -> None:
    """Raise RecordError for texts, deep inside too, that no database can keep."""
    if isinstance(value, str):
        try:
            check_text(value, name)
        except ContentError as error:
            raise RecordError(name, error.reason) from None
    elif isinstance(value, dict):
        for key, part in value.items():
            _check_storable(key, name)
            _check_storable(part, name)
    elif isinstance(value, list):
        for part in value:
            _check_storable(part, name)


def list_of(value: Mapping[str, Any], name: str) -> list[Any]:
    """Return the list under a name, empty where there is none; raise RecordError otherwise."""
    found = value.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise RecordError(name, _("must be a list."))
    return found


def object_of(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the object under a name, empty where there is none; raise RecordError otherwise."""
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RecordError(name, _("must be an object."))
    return found


def number_of(value: Mapping[str, Any], name: str, limit: int) -> int | None:
    """Return the whole number from 0 to `limit` under a name, None where there is none."""
    found = value.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= limit:
        raise RecordError(name, _("must be a whole number from 0 to {limit}.", limit=limit))
    return found


def name_of(value: Mapping[str, Any], name: str, limit: int) -> str | None:
    """Return the text under a name, None where there is none."""
    return text_field(value, name, limit) or None


def text_field(value: Mapping[str, Any], name: str, limit: int) -> str:
    """Return the text under a name, "" where there is none; a whole number counts as text."""
    found = value.get(name)
    if found is None:
        return ""
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise RecordError(name, _("must be a text."))
    if len(str(found)) > limit:
        raise RecordError(name, _("is longer than {limit} characters.", limit=limit))
    return str(found)


def moment_of(value: Mapping[str, Any], name: str) -> str | None:
    """Return the ISO 8601 moment under a name as it stands, None where there is none."""
    found = name_of(value, name, 40)
    if found is None:
        return None
    try:
        datetime.fromisoformat(found)
    except ValueError:
        reason = _("must be a moment such as 2026-01-31T12:00:00+00:00.")
        raise RecordError(name, reason) from None
    return found
