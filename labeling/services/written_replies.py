"""A reply that somebody wrote while ranking: a candidate of that judgement, and a demonstration.

It never enters a comparison, so that the others' keeps its K. Where the same text is there already
under its prompt, from a model or from somebody else, it is that candidate: a text stands once.
"""

from collections.abc import Collection, Sequence

from django.db.models import Q
from django.utils.translation import gettext as _

from labeling.domain.blindness import names_its_maker
from labeling.domain.content import content_hash, parse_reply
from labeling.domain.rendering import RENDERER_VERSION, render_text
from labeling.exceptions import InvalidInput
from labeling.models import (
    Annotator,
    Candidate,
    Comparison,
    ComparisonCandidate,
    Demonstration,
    Judgement,
)
from labeling.models.prompts import State

_ERASED = Q(annotator__kind=Annotator.Kind.PERSON, annotator__user=None)


def keep_candidate(*, annotator_id: int, comparison_id: int, text: str) -> Candidate:
    """Return the candidate of a written reply, made where its text is new under the prompt.

    Raises InvalidInput where it is the text of a reply that the comparison shows.
    """
    prompt_id = Comparison.objects.values_list("prompt_id", flat=True).get(pk=comparison_id)
    messages = parse_reply(text, "own_text")
    candidate, made = Candidate.objects.get_or_create(
        prompt_id=prompt_id,
        content_hash=content_hash(messages),
        defaults={
            "messages": messages,
            "html": render_text(text),
            "renderer_version": RENDERER_VERSION,
            "names_its_maker": names_its_maker(text),
            "written_by_id": annotator_id,
        },
    )
    shown = ComparisonCandidate.objects.filter(comparison=comparison_id, candidate=candidate)
    if not made and shown.exists():
        sentence = _("You wrote the very text of a reply that is shown. Rank that one higher.")
        raise InvalidInput(sentence, errors={"own_text": [sentence]})
    return candidate


def keep_demonstration(*, judgement: Judgement) -> Demonstration | None:
    """Have the demonstrations say what a new judgement says; return its own, None without one.

    A revision's reply supersedes the one that was written before; a reply that it leaves out is
    withdrawn.
    """
    candidate, old = judgement.written_candidate, judgement.supersedes
    before = _demonstration_of(old) if old is not None else None
    if old is not None and candidate == old.written_candidate:
        return before
    if candidate is None:
        if before is not None:
            before.state = State.WITHDRAWN
            before.save(update_fields=["state"])
        return None
    return Demonstration.objects.create(
        prompt_id=candidate.prompt_id,
        annotator_id=judgement.annotator_id,
        guideline_id=judgement.guideline_id,
        messages=candidate.messages,
        content_hash=candidate.content_hash,
        origin=judgement.origin,
        supersedes=before,
    )


def keep_imported_replies(*, judgements: Sequence[Judgement]) -> None:
    """Do for judgements of a file what was done where they were made.

    Their written replies belong to the annotators, where no model wrote the same, and become
    demonstrations.
    """
    for judgement in judgements:
        if judgement.written_candidate is None:
            continue
        own = Candidate.objects.filter(pk=judgement.written_candidate.pk, written_by=None)
        own.filter(sources=None, slots=None).update(written_by=judgement.annotator)
        keep_demonstration(judgement=judgement)


def erase_candidates(*, annotators: Collection[Annotator], tombstone: str) -> None:
    """Put a tombstone in place of the replies that these people wrote while ranking.

    A text that is another's too, who wrote or sampled the same, stays and is theirs from now on.
    """
    for candidate in Candidate.objects.filter(written_by__in=annotators):
        others = Judgement.objects.filter(
            comparison__prompt=candidate.prompt_id, written_candidate=candidate
        )
        others = others.exclude(annotator__in=annotators).exclude(_ERASED)
        other = others.order_by("id").first()
        if other is not None or candidate.sources.exists():
            candidate.written_by_id = other.annotator_id if other else None
        else:
            candidate.messages = parse_reply(tombstone, "tombstone")
            candidate.html = render_text(tombstone)
            candidate.content_hash = content_hash([{"erased": candidate.pk}])
        candidate.save(update_fields=["written_by", "messages", "html", "content_hash"])


def _demonstration_of(judgement: Judgement) -> Demonstration | None:
    """Return the demonstration that a judgement's written reply became, if it still stands."""
    if judgement.written_candidate is None:
        return None
    rows = Demonstration.objects.filter(
        prompt_id=judgement.written_candidate.prompt_id,
        annotator_id=judgement.annotator_id,
        content_hash=judgement.written_candidate.content_hash,
        assignment=None,
        superseded_by=None,
        state=State.ACTIVE,
    )
    return rows.order_by("-id").first()
