"""What an annotator says of a card, and whether it can be taken."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from uuid import UUID

from django.utils.translation import gettext as _

from labeling.domain.content import ContentError, check_text
from labeling.domain.rankings import (
    RankingError,
    Tiers,
    check_tiers,
    is_tie,
    map_tiers,
    ranks_from_tiers,
)
from labeling.exceptions import InvalidInput, InvalidRanking, UntouchedOrder
from labeling.language import said
from labeling.models import Judgement, Project
from labeling.selectors.queue import Asked

OWN: Final = -1  # stands in tiers for the reply that the annotator wrote, whatever K is
MAX_EVENTS: Final = 2000
MAX_CHARACTERS: Final = {"comment": 20_000, "unrankable_reason": 500, "own_text": 100_000}
MAX_QUALITY: Final = 7
MAX_CONFIDENCE: Final = 3
# On nine points the tie is the fifth: four are left on either side (Stiennon et al. 2020).
STRONGEST: Final = {Project.Strength.THREE: 3, Project.Strength.NINE: 4}
RATING_FIELDS: Final = frozenset({"quality", "flags"})
_WITHOUT_ORDER: Final = frozenset({Judgement.Verdict.BOTH_BAD, Judgement.Verdict.UNRANKABLE})


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What an annotator says of a card. Tiers name positions as shown, best tier first.

    A reply that the annotator wrote stands in tiers at position K, or as OWN.
    """

    verdict: str = Judgement.Verdict.RANKED
    tiers: list[list[int]] = field(default_factory=list)
    touched: bool = False
    strength: int | None = None
    confidence: int | None = None
    comment: str = ""
    ratings: dict[str, Any] = field(default_factory=dict)
    unrankable_reason: str = ""
    own_text: str = ""
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
    """A submission with its ranking checked and turned into slots; a written reply is slot K."""

    verdict: str
    tiers: Tiers
    ratings: dict[str, Any]
    own_text: str = ""


def check_submission(
    submission: Submission, shown_order: list[int], asked: Asked, *, complete: bool
) -> CheckedSubmission:
    """Return the ranking in slots.

    With `complete`, whatever the project asks for must have been answered, as a page's form sees
    to. Raises UntouchedOrder, InvalidRanking or InvalidInput, each naming the field.
    """
    _check_fields(submission)
    if submission.verdict not in Judgement.Verdict.values:
        raise InvalidInput(
            _("There is no such verdict."), errors={"verdict": [submission.verdict[:40]]}
        )
    ratings = _ratings_by_slot(submission.ratings, shown_order, asked)
    own_text = _own_text(submission, asked)
    verdict, tiers = submission.verdict, []
    if verdict not in _WITHOUT_ORDER:
        tiers = _placed(submission, shown_order, written=bool(own_text))
        verdict = Judgement.Verdict.TIE if is_tie(tiers) else Judgement.Verdict.RANKED
    elif verdict == Judgement.Verdict.UNRANKABLE and not submission.unrankable_reason.strip():
        raise InvalidInput(
            _("Say why it can't be ranked."), errors={"unrankable_reason": [_("Give a reason.")]}
        )
    checked = CheckedSubmission(verdict, tiers, ratings, own_text)
    decided = len(shown_order) == 2 and _one_is_better(tiers)
    _check_strength(submission.strength, asked, decided)
    if complete:
        _check_complete(submission, checked, asked, len(shown_order), decided)
    return checked


def _check_fields(submission: Submission) -> None:
    """Raise InvalidInput for what no judgement could hold."""
    errors: dict[str, list[str]] = {}
    for name, limit in MAX_CHARACTERS.items():
        try:
            check_text(getattr(submission, name), name)
        except ContentError as error:
            errors[name] = [said(error.reason)]
        if len(getattr(submission, name)) > limit:
            errors[name] = [_("At most {limit} characters.").format(limit=limit)]
    if submission.confidence is not None and not 1 <= submission.confidence <= MAX_CONFIDENCE:
        errors["confidence"] = [_("Must be 1 to {top}.").format(top=MAX_CONFIDENCE)]
    if len(submission.events) > MAX_EVENTS:
        errors["events"] = [_("At most {limit} events.").format(limit=MAX_EVENTS)]
    if submission.active_ms is not None and not 0 <= submission.active_ms < 2**31:
        errors["active_ms"] = [_("Must be milliseconds, 0 or more.")]
    if errors:
        raise InvalidInput(_("Some fields can't be taken."), errors=errors)


def _own_text(submission: Submission, asked: Asked) -> str:
    """Return the written reply without blank lines around it, "" where none was written."""
    text = submission.own_text.strip("\n").rstrip()
    if text.strip() and not asked.demonstrations:
        sentence = _("This project takes no written replies.")
        raise InvalidInput(sentence, errors={"own_text": [sentence]})
    return text if text.strip() else ""


def _placed(submission: Submission, shown_order: list[int], *, written: bool) -> Tiers:
    """Return the tiers in slots.

    Raises UntouchedOrder or InvalidRanking.
    """
    if not submission.touched:
        raise UntouchedOrder(
            _("Nothing was placed. Rank the replies; equal ones may share a rank."),
            errors={"tiers": [_("The order was sent back as it was shown.")]},
        )
    own = len(shown_order)
    if not written and any(OWN in tier for tier in submission.tiers):
        sentence = _("You placed a reply of your own, but wrote none.")
        raise InvalidRanking(sentence, errors={"own_text": [sentence]})
    tiers = [[own if place == OWN else place for place in tier] for tier in submission.tiers]
    if written and not any(own in tier for tier in tiers):
        sentence = _("Place the reply that you wrote, too.")
        raise InvalidRanking(sentence, errors={"tiers": [sentence]})
    try:
        placed = check_tiers(tiers, own + written)
    except RankingError as error:
        sentence = _("Rank every reply, each of them once.")
        raise InvalidRanking(sentence, errors={"tiers": [said(error.reason)]}) from None
    return map_tiers(placed, [*shown_order, own])


def _one_is_better(tiers: Tiers) -> bool:
    """Return whether one of the first two slots stands above the other."""
    ranks = ranks_from_tiers(tiers)
    return ranks.get(0) != ranks.get(1)


def _check_strength(strength: int | None, asked: Asked, decided: bool) -> None:
    """Raise InvalidInput where a strength is given that the project's scale does not hold."""
    if strength is None:
        return
    top = STRONGEST.get(Project.Strength(asked.strength_scale))
    if top is None:
        sentence = _("This project does not ask how much better a reply is.")
    elif not decided:
        sentence = _("How much better is asked where one of two replies is the better one.")
    elif not 1 <= strength <= top:
        sentence = _("How much better is told from 1 to {top}.").format(top=top)
    else:
        return
    raise InvalidInput(sentence, errors={"strength": [sentence]})


def _check_complete(
    submission: Submission, checked: CheckedSubmission, asked: Asked, count: int, decided: bool
) -> None:
    """Raise InvalidInput that names what the project asks for and was not answered.

    Where nothing can be ranked nothing is asked; beside a third, written reply no strength is.
    """
    if checked.verdict == Judgement.Verdict.UNRANKABLE:
        return
    errors: dict[str, list[str]] = {}
    if asked.ratings:
        sentence = _("Rate the quality of each reply, from 1 to 7.")
        for position in range(count):
            if "quality" not in submission.ratings.get(str(position), {}):
                errors[f"quality-{position}"] = [sentence]
    if decided and asked.strength_scale and not checked.own_text and submission.strength is None:
        errors["strength"] = [_("Say how much better it is.")]
    if asked.confidence and submission.confidence is None:
        errors["confidence"] = [_("Say how sure you are.")]
    if errors:
        sentences = dict.fromkeys(reason for reasons in errors.values() for reason in reasons)
        raise InvalidInput(" ".join(sentences), errors=errors)


def _ratings_by_slot(
    ratings: dict[str, Any], shown_order: list[int], asked: Asked
) -> dict[str, Any]:
    slots = {str(position): str(slot) for position, slot in enumerate(shown_order)}
    by_slot: dict[str, Any] = {}
    for position, rated in ratings.items():
        if position not in slots:
            raise InvalidInput(
                _("No such position."), errors={"ratings": [f"{str(position)[:20]!r}"]}
            )
        if not isinstance(rated, dict) or set(rated) - RATING_FIELDS:
            raise InvalidInput(
                _("A rating holds `quality` and `flags`."), errors={"ratings": [f"{position!r}"]}
            )
        by_slot[slots[position]] = _rating(rated, f"ratings.{position}", asked)
    return by_slot


def _rating(rated: dict[str, Any], where: str, asked: Asked) -> dict[str, Any]:
    """Return a checked rating, its flags once each and in the order of their set."""
    rating: dict[str, Any] = {}
    quality = rated.get("quality")
    if quality is not None:
        if isinstance(quality, bool) or quality not in range(1, MAX_QUALITY + 1):
            sentence = _("Quality is told from 1 to 7.")
            raise InvalidInput(sentence, errors={f"{where}.quality": [sentence]})
        rating["quality"] = int(quality)
    flags = rated.get("flags")
    if flags is not None:
        keys = [key for key, _label in asked.flags]
        if not isinstance(flags, list) or any(flag not in keys for flag in flags):
            raise InvalidInput(
                _("A flag is not among those that this comparison was shown with."),
                errors={
                    f"{where}.flags": [
                        _("Use one of {known}.").format(known=", ".join(keys) or "–")
                    ]
                },
            )
        rating["flags"] = [key for key in keys if key in flags]
    return rating
