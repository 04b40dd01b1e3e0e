"""What an annotator says of a card, and whether it can be taken."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from uuid import UUID

from labeling.domain.rankings import RankingError, Tiers, check_tiers, is_tie, map_tiers
from labeling.exceptions import InvalidInput, InvalidRanking, UntouchedOrder
from labeling.models import Judgement

MAX_EVENTS: Final = 2000
MAX_COMMENT: Final = 20_000
RATING_FIELDS: Final = frozenset({"quality", "flags"})


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What an annotator says of a card. Tiers name positions as shown, best tier first."""

    verdict: str = Judgement.Verdict.RANKED
    tiers: list[list[int]] = field(default_factory=list)
    touched: bool = False
    strength: int | None = None
    confidence: int | None = None
    comment: str = ""
    ratings: dict[str, Any] = field(default_factory=dict)
    unrankable_reason: str = ""
    active_ms: int | None = None
    events: list[Any] = field(default_factory=list)

    def fingerprint(self, assignment_uid: UUID) -> str:
        """Return the hash by which a retry is told from another body under the same key.

        Times and the event log are left out: a retry may have gone on measuring.
        """
        said = {k: v for k, v in asdict(self).items() if k not in {"active_ms", "events"}}
        text = json.dumps([str(assignment_uid), said], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class CheckedSubmission:
    """A submission with its ranking checked and turned into slots."""

    verdict: str
    tiers: Tiers
    ratings: dict[str, Any]


def check_submission(submission: Submission, shown_order: list[int]) -> CheckedSubmission:
    """Return the ranking in slots.

    Raises UntouchedOrder, InvalidRanking or InvalidInput, each naming the field.
    """
    _check_fields(submission)
    ratings = _ratings_by_slot(submission.ratings, shown_order)
    verdict = submission.verdict
    if verdict not in Judgement.Verdict.values:
        raise InvalidInput("There is no such verdict.", errors={"verdict": [verdict]})
    if verdict in {Judgement.Verdict.BOTH_BAD, Judgement.Verdict.UNRANKABLE}:
        if verdict == Judgement.Verdict.UNRANKABLE and not submission.unrankable_reason.strip():
            raise InvalidInput(
                "Say why it can't be ranked.", errors={"unrankable_reason": ["Give a reason."]}
            )
        return CheckedSubmission(verdict, [], ratings)
    if not submission.touched:
        raise UntouchedOrder(
            "Nothing was placed. Rank the replies; equal ones may share a rank.",
            errors={"tiers": ["The order was sent back as it was shown."]},
        )
    try:
        placed = check_tiers(submission.tiers, len(shown_order))
    except RankingError as error:
        raise InvalidRanking(str(error), errors={"tiers": [str(error)]}) from None
    verdict = Judgement.Verdict.TIE if is_tie(placed) else Judgement.Verdict.RANKED
    return CheckedSubmission(verdict, map_tiers(placed, shown_order), ratings)


def _check_fields(submission: Submission) -> None:
    errors: dict[str, list[str]] = {}
    for name, top in (("strength", 9), ("confidence", 9)):
        value = getattr(submission, name)
        if value is not None and not 1 <= value <= top:
            errors[name] = [f"Must be 1 to {top}."]
    if len(submission.comment) > MAX_COMMENT:
        errors["comment"] = [f"At most {MAX_COMMENT} characters."]
    if len(submission.events) > MAX_EVENTS:
        errors["events"] = [f"At most {MAX_EVENTS} events."]
    if submission.active_ms is not None and not 0 <= submission.active_ms < 2**31:
        errors["active_ms"] = ["Must be milliseconds, 0 or more."]
    if errors:
        raise InvalidInput("Some fields can't be taken.", errors=errors)


def _ratings_by_slot(ratings: dict[str, Any], shown_order: list[int]) -> dict[str, Any]:
    by_slot: dict[str, Any] = {}
    for position, said in ratings.items():
        if not str(position).isdigit() or int(position) >= len(shown_order):
            raise InvalidInput("No such position.", errors={"ratings": [f"{position!r}"]})
        if not isinstance(said, dict) or set(said) - RATING_FIELDS:
            raise InvalidInput(
                "A rating holds `quality` and `flags`.", errors={"ratings": [f"{position!r}"]}
            )
        by_slot[str(shown_order[int(position)])] = said
    return by_slot
