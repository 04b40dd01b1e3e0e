"""Rendering again what an older renderer wrote: HTML is kept, and the renderer gets better.

No deed of a person, and no content changes: the messages, their hashes and all that was judged
stay as they are. So no event is written, and work goes on meanwhile: each batch is a transaction
of its own that locks only its rows, skips those that others hold, and waits for nobody.
"""

from collections.abc import Callable
from typing import Any

from django.db import models, transaction

from labeling.domain.content import reply_text
from labeling.domain.rendering import RENDERER_VERSION, render_messages, render_text
from labeling.models import Candidate, Guideline, Prompt

BATCH = 100
_HTML_OF: dict[type[models.Model], Callable[[Any], Any]] = {
    Prompt: lambda prompt: render_messages(prompt.messages),
    Candidate: lambda candidate: render_text(reply_text(candidate.messages)),
    Guideline: lambda guideline: render_text(guideline.text),
}
RENDERED = tuple(_HTML_OF)


def count_stale(model: type[models.Model]) -> int:
    """Return how many rows of a model were rendered by another version than this one."""
    return _stale(model).count()


def _stale(model: type[models.Model]) -> "models.QuerySet[Any]":
    return model._default_manager.exclude(renderer_version=RENDERER_VERSION).order_by("pk")


@transaction.atomic
def render_batch(model: type[models.Model], *, after: int = 0, limit: int = BATCH) -> list[int]:
    """Render the next rows of a model again, those behind the id `after`; return their ids.

    Ended at any moment, it is simply begun again: a row says itself which version it has. A row
    that is locked just then is left for the next time.
    """
    locked = _stale(model).select_for_update(skip_locked=True, no_key=True)
    rows = list(locked.filter(pk__gt=after)[:limit])
    for row in rows:
        row.html = _HTML_OF[model](row)
        row.renderer_version = RENDERER_VERSION
    model._default_manager.bulk_update(rows, ["html", "renderer_version"])
    return [row.pk for row in rows]


def render_stale(*, budget: int = 2_000) -> int:
    """Render up to `budget` stale rows again and return how many were; fewer means all are done."""
    done = 0
    for model in RENDERED:
        last = 0
        while done < budget:
            ids = render_batch(model, after=last, limit=min(BATCH, budget - done))
            if not ids:
                break
            last, done = ids[-1], done + len(ids)
    return done
