"""Writes about blindness: a candidate that seems to name its maker is kept from annotators.

The flag is set by a pattern when a text comes in (domain/blindness.py), and patterns err: a manager
decides, text by text.
"""

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.exceptions import Conflict
from labeling.models import Candidate, CandidateSource, Comparison, User
from labeling.services import audit
from labeling.services.comparisons import queue_comparisons


@transaction.atomic
def set_maker_flag(*, actor: User, candidate: Candidate, flagged: bool) -> list[Comparison]:
    """Overrule the flag of a candidate, or set it by hand; return the comparisons that this made.

    A candidate that is let in completes a comparison with those that came with it and are still
    free, where they are enough. Raises Conflict where one that is to be kept out stands in a
    comparison already.
    """
    candidate = Candidate.objects.select_for_update().get(pk=candidate.pk)
    if candidate.names_its_maker == flagged:
        return []
    if flagged and candidate.slots.exists():
        raise Conflict(_("It stands in a comparison already, so annotators may have seen it."))
    candidate.names_its_maker = flagged
    candidate.save(update_fields=["names_its_maker"])
    project = candidate.prompt.project
    verb = "candidate.flag" if flagged else "candidate.unflag"
    audit.record(actor=actor, project=project, verb=verb, obj=candidate)
    if flagged:
        return []
    return queue_comparisons(
        actor=actor,
        project=project,
        prompt_ids=[candidate.prompt_id],
        candidate_ids=_came_together(candidate),
    )


def _came_together(candidate: Candidate) -> set[int]:
    """Return the candidates of the same prompt from the same imports, or else from the same model.

    Replies of one sampled model are compared among themselves.
    """
    own = CandidateSource.objects.filter(candidate=candidate)
    others = CandidateSource.objects.filter(candidate__prompt=candidate.prompt_id)
    imported = others.filter(import_batch__in=own.exclude(import_batch=None).values("import_batch"))
    sampled = others.filter(import_batch=None, model_sha256__in=own.values("model_sha256"))
    found = imported if imported.exists() else sampled
    return set(found.values_list("candidate_id", flat=True))
