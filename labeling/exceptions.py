"""What can go wrong, in words fit for the person who did it.

Services raise these; `config/api.py` and `config/middleware.py` are the only translators to HTTP.
"""

from typing import Any, ClassVar


class PrefloopError(Exception):
    """The base of all errors that are answered, not logged as faults.

    `errors` tells which field or line is meant: `{"tiers": ["..."]}` or `{"line 3": ["..."]}`.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400

    def __init__(self, message: str, *, errors: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.errors = errors or {}

    def as_json(self) -> dict[str, Any]:
        """Return the one shape of an error: code, message, errors."""
        return {"code": self.code, "message": self.message, "errors": self.errors}


class NotAllowed(PrefloopError):
    """The role of this account does not cover the deed."""

    code = "not_allowed"
    status = 403


class NotFound(PrefloopError):
    """There is no such thing, or none that this account may know of."""

    code = "not_found"
    status = 404


class InvalidInput(PrefloopError):
    """A field holds what it can't hold; `errors` names each."""

    code = "invalid_input"
    status = 422


class InvalidRanking(InvalidInput):
    """The tiers are no ranking of the shown candidates."""

    code = "invalid_ranking"


class UntouchedOrder(InvalidRanking):
    """The order shown was sent back without having been touched."""

    code = "untouched_order"


class Conflict(PrefloopError):
    """The thing has moved on since it was read."""

    code = "conflict"
    status = 409


class IdempotencyConflict(Conflict):
    """The same idempotency key came with another body."""

    code = "idempotency_conflict"


class AssignmentEnded(Conflict):
    """The assignment already ended in a judgement or a skip."""

    code = "assignment_ended"


class NothingToFreeze(PrefloopError):
    """The selection holds no label."""

    code = "nothing_to_freeze"
    status = 422


class SnapshotChanged(Conflict):
    """The rows no longer give the hash that the snapshot was frozen with."""

    code = "snapshot_changed"
