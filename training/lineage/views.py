"""Lineage as pages: a model's family drawn, the judgements in a model, a judgement's models."""

from typing import Final
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from labeling.exceptions import NotFound
from labeling.models import Snapshot
from labeling.views.access import answer, project_for, reader, signed_in
from training.lineage.drawing import draw
from training.lineage.graph import Relation, near_the_focus
from training.lineage.picture import BEHIND, LEGEND, MADE, RELATIONS, graph_of, told
from training.lineage.selectors import (
    Seen,
    ancestors_of,
    family_of,
    get_judgement,
    judgements_in,
    listed,
    model_key,
    snapshots_by_relation,
    split_counts,
    spread_of,
)
from training.lineage.sight import Sight
from training.models import ModelVersion
from training.selectors import get_model

MOST_DRAWN: Final = 60
PER_PAGE: Final = 50


@require_GET
@signed_in
def model_lineage(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Draw what a model was made of and what was made of it; count the judgements in it."""
    project = project_for(request, slug, "model.view")
    model = get_model(project, pk)
    family = family_of(model)
    sight = Sight(reader(request), project)
    graph = near_the_focus(graph_of(family, sight, model), model_key(pk), MOST_DRAWN)
    behind = snapshots_by_relation(model, family)
    context = {
        "project": project,
        "model": model,
        "drawing": draw(graph),
        "legend": [(kind.value, words) for kind, words in LEGEND.items()],
        "told": told(graph),
        "left_out": graph.left_out,
        "behind": [
            {
                "relation": relation.value,
                "words": words,
                "snapshots": [(one, sight.reads(one)) for one in behind[relation]],
                "splits": split_counts(behind[relation]),
                "judgements": judgements_in(project, behind, relation).count(),
            }
            for relation, words in BEHIND.items()
        ],
    }
    page, piece = "training/model_lineage.html", "training/_lineage_drawing.html"
    return answer(request, page, piece, context)


@require_GET
@signed_in
def model_judgements(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """List the judgements in a model, of one relation, in pages."""
    project = project_for(request, slug, "model.view")
    model = get_model(project, pk)
    relation = asked_relation(request.GET.get("of", ""))
    behind = snapshots_by_relation(model, ancestors_of(model))
    rows = judgements_in(project, behind, relation).select_related("comparison__prompt")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "model": model,
        "page": page,
        "rows": listed(list(page.object_list), behind[relation]),
        "relation": relation.value,
        "choices": [(choice.value, words) for choice, words in BEHIND.items()],
    }
    name, piece = "training/model_judgements.html", "training/_judgement_rows.html"
    return answer(request, name, piece, context)


def asked_relation(value: str) -> Relation:
    """Return the relation that is asked for, the nearest where none is. Raises NotFound."""
    if not value:
        return Relation.DIRECT
    if value not in {relation.value for relation in BEHIND}:
        raise NotFound(_("There is no such relation of judgements to a model."))
    return Relation(value)


@require_GET
@signed_in
def judgement_lineage(request: HttpRequest, slug: str, uid: UUID) -> HttpResponseBase:
    """Show which snapshots hold a judgement and which models have seen it, and how."""
    project = project_for(request, slug, "model.view")
    spread = spread_of(get_judgement(project, uid))
    sight = Sight(reader(request), project)
    context = {
        "project": project,
        "spread": spread,
        "judgement": spread.judgement,
        "groups": [
            {
                "relation": relation.value,
                "words": words,
                "models": [_told(seen, sight) for seen in spread.of(relation)],
            }
            for relation, words in RELATIONS.items()
        ],
    }
    page, piece = "training/judgement_lineage.html", "training/_judgement_models.html"
    return answer(request, page, piece, context)


def _told(seen: Seen, sight: Sight) -> dict[str, object]:
    """Return what the page says of a model that has seen a judgement."""
    return {
        "model": seen.model,
        "name": sight.name(seen.model),
        "is_read": sight.reads(seen.model),
        "sentences": _sentences(seen, sight),
    }


def _sentences(seen: Seen, sight: Sight) -> str:
    """Return how a model came to have seen a judgement: by which models and snapshots."""
    said = [str(MADE[kind]).format(name=_name(thing, sight)) for kind, thing in seen.by]
    return " · ".join(said)


def _name(thing: ModelVersion | Snapshot, sight: Sight) -> str:
    if isinstance(thing, Snapshot) and sight.reads(thing):
        return _("Snapshot {number}").format(number=thing.number)
    return sight.name(thing)
