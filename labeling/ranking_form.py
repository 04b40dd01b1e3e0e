"""The form of the ranking page: read into a submission, and filled in again from what was said."""

import re
from collections.abc import Iterator
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext as _

from labeling.domain.fields import RecordError, load_list
from labeling.exceptions import InvalidInput
from labeling.language import said
from labeling.models import Judgement
from labeling.models.projects import MAX_CANDIDATES
from labeling.selectors.revisions import Said
from labeling.services.submissions import OWN, Submission

# Of two replies one point is chosen on a line between them: the better one with its strength, or
# one of two words.
_BETTER = re.compile(r"([01]):([1-9]?)")
_TIE = "tie"


def submission_of(data: QueryDict) -> Submission:
    """Return what a page sent: `rank-<position>` holds a rank from 1, equal ranks tie.

    Of two replies `line` may say the same with the strength: "0:2", "1:", "tie", "both_bad".
    Nothing counts as placed but what was given a rank; the service refuses what is left out. A
    written reply without a rank of its own, `rank-own`, stands above the others. Raises
    InvalidInput, naming the field.
    """
    verdict, tiers, strength = _order(data)
    own_text = _text(data, "own_text")
    touched = bool(tiers)
    if own_text.strip() and not any(OWN in tier for tier in tiers):
        tiers = [[OWN], *tiers]
    return Submission(
        verdict=verdict,
        tiers=tiers,
        touched=touched,
        strength=strength,
        confidence=_number(data, "confidence"),
        comment=_text(data, "comment"),
        ratings=_ratings(data),
        # A reason that was chosen can't be unmade in a form: without its verdict it means nothing.
        unrankable_reason=(
            _text(data, "unrankable_reason") if verdict == Judgement.Verdict.UNRANKABLE else ""
        ),
        own_text=own_text,
        active_ms=_number(data, "active_ms"),
        events=_events(data),
    )


def _order(data: QueryDict) -> tuple[str, list[list[int]], int | None]:
    """Return verdict, tiers and strength; a strength only where one of two is the better one."""
    line = data.get("line", "")
    verdict = data.get("verdict") or (
        line if line == Judgement.Verdict.BOTH_BAD else Judgement.Verdict.RANKED
    )
    if verdict != Judgement.Verdict.RANKED:
        return verdict, [], None
    if not line:
        tiers = _tiers(data)
        level = any({0, 1} <= set(tier) for tier in tiers)
        return verdict, tiers, None if level else _number(data, "strength")
    if line == _TIE:
        return verdict, [[0, 1]], None
    point = _BETTER.fullmatch(line)
    if point is None:
        raise InvalidInput(_("There is no such choice."), errors={"line": [f"{line[:20]!r}"]})
    better = int(point[1])
    return verdict, [[better], [1 - better]], int(point[2]) if point[2] else None


def _tiers(data: QueryDict) -> list[list[int]]:
    """Return the positions by their ranks; what was given no rank is left out."""
    tiers: dict[int, list[int]] = {}
    places = [(position, f"rank-{position}") for position in range(MAX_CANDIDATES)]
    for place, name in [*places, (OWN, "rank-own")]:
        rank = _number(data, name)
        if rank is not None:
            tiers.setdefault(rank, []).append(place)
    return [tiers[rank] for rank in sorted(tiers)]


def _ratings(data: QueryDict) -> dict[str, Any]:
    """Return what was said of each position: boxes left empty mean no, where a quality was told."""
    ratings: dict[str, Any] = {}
    for position in range(MAX_CANDIDATES):
        quality = _number(data, f"quality-{position}")
        flags = data.getlist(f"flag-{position}")
        if quality is not None:
            ratings[str(position)] = {"quality": quality, "flags": flags}
        elif flags:
            ratings[str(position)] = {"flags": flags}
    return ratings


def _number(data: QueryDict, name: str) -> int | None:
    """Return a field as a whole number, None where it is empty or missing.

    Raises InvalidInput for anything else.
    """
    text = data.get(name, "").strip()
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(
            _("A number was expected."),
            errors={name: [_("{value} is no whole number.").format(value=repr(text[:20]))]},
        ) from None


def _text(data: QueryDict, name: str) -> str:
    """Return a field's text; forms send CR LF where a line ends."""
    return data.get(name, "").replace("\r\n", "\n")


def _events(data: QueryDict) -> list[Any]:
    try:
        return load_list(data.get("events") or "[]", "events")
    except RecordError as error:
        raise InvalidInput(
            _("The event log is damaged."), errors={"events": [said(error.reason)]}
        ) from None


def fields_of(said: Said, count: int) -> list[tuple[str, str]]:
    """Return what was said of a card of K replies as the form's own fields: names and values."""
    fields = list(_order_fields(said, count))
    for position, rating in said.ratings.items():
        if "quality" in rating:
            fields.append((f"quality-{position}", str(rating["quality"])))
        fields += [(f"flag-{position}", key) for key in rating.get("flags", [])]
    if said.confidence is not None:
        fields.append(("confidence", str(said.confidence)))
    texts = {name: getattr(said, name) for name in ("comment", "unrankable_reason", "own_text")}
    return fields + [(name, text) for name, text in texts.items() if text]


def _order_fields(said: Said, count: int) -> Iterator[tuple[str, str]]:
    if count != 2:
        levels = sorted(set(said.ranks.values()))  # a written reply leaves a gap
        for position, rank in said.ranks.items():
            yield f"rank-{position}", str(levels.index(rank) + 1)
    elif said.verdict == Judgement.Verdict.BOTH_BAD:
        yield "line", said.verdict
    elif said.ranks:
        first, second = said.ranks[0], said.ranks[1]
        better = 0 if first < second else 1
        yield "line", _TIE if first == second else f"{better}:{said.strength or ''}"
