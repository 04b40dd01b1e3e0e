"""Comparisons that more people are to judge than was meant when they were queued."""

from collections.abc import Collection

from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from labeling.exceptions import InvalidInput
from labeling.models import Annotator, Comparison, Judgement, Project, User
from labeling.services import audit
from labeling.services.ai_judgements import give_to_people

MOST_PEOPLE = 50
_ASKED = (Comparison.State.OPEN, Comparison.State.CLOSED)


@transaction.atomic
def ask_people(
    *, actor: User | None, project: Project, comparison_ids: Collection[int], people: int = 1
) -> list[int]:
    """Open comparisons until that many people have judged each; return those that wait for more.

    People who judged already, and those who hold a lease, are counted: nobody is asked in vain. A
    comparison that waits for more people already stays as it is; gold items and withdrawn ones are
    left alone. One that waited for AI judges waits for people from now on. Raises InvalidInput.
    """
    if not 1 <= people <= MOST_PEOPLE:
        text = _("Use a whole number from {least} to {most}.").format(least=1, most=MOST_PEOPLE)
        raise InvalidInput(_("Some settings can't be taken."), errors={"people": [text]})
    given = give_to_people(
        actor=actor, project=project, comparison_ids=comparison_ids, overlap=people
    )
    rows = Comparison.objects.select_for_update().filter(project=project, state__in=_ASKED)
    found = list(rows.filter(pk__in=set(comparison_ids) - set(given)).order_by("pk"))
    judged = _people_who_judged([row.pk for row in found])
    opened = [row for row in found if _open(row, people - judged.get(row.pk, 0))]
    Comparison.objects.bulk_update(opened, ["overlap", "open_slots", "state"], batch_size=500)
    if opened:
        audit.record(
            actor=actor,
            project=project,
            verb="comparisons.ask_people",
            obj=project,
            data={"comparisons": len(opened), "people": people},
        )
    return sorted([*given, *(row.pk for row in opened)])


def _people_who_judged(comparison_ids: Collection[int]) -> dict[int, int]:
    rows = Judgement.objects.filter(
        comparison__in=comparison_ids,
        superseded_by=None,
        annotator__kind__in=[Annotator.Kind.PERSON, Annotator.Kind.SIMULATED],
    )
    counted = rows.order_by().values_list("comparison").annotate(count=Count("pk"))
    return dict(counted)


def _open(row: Comparison, missing: int) -> bool:
    """Raise a locked comparison's overlap by what is missing; return whether it had to be.

    Its free slots grow by as much: those of live leases stay taken.
    """
    wanted = row.judgement_count + max(missing, 0)
    added = wanted - max(row.overlap, row.judgement_count)
    if added <= 0:
        return False
    row.overlap, row.open_slots = wanted, row.open_slots + added
    row.state = Comparison.State.OPEN
    return True
