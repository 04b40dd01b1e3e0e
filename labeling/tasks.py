"""Celery's edge of the labelling half: each task calls one service.

A message only rings the bell. Whatever was lost with a worker or the broker is found in the
database by `ring_due`, and every service claims its row by compare-and-swap.
"""

from datetime import timedelta

from celery import shared_task
from django.core.cache import cache
from django.utils import timezone

from labeling.domain.rendering import RENDERER_VERSION
from labeling.models import ImportBatch
from labeling.services import assignments, exports, imports, renderings, writing

LOST_AFTER = timedelta(minutes=10)
RENDER_BUDGET = 2_000  # rows in one message: some seconds, so that other work gets its turn
ALL_RENDERED_KEPT_S = 3_600


@shared_task(name="labeling.tasks.import_prompts")
def import_prompts(batch_id: int) -> None:
    """Take an uploaded file."""
    try:
        imports.run_import(batch_id=batch_id)
    except Exception:
        ImportBatch.objects.filter(pk=batch_id, state=ImportBatch.State.RUNNING).update(
            state=ImportBatch.State.FAILED, finished_at=timezone.now()
        )
        raise


@shared_task(name="labeling.tasks.write_export")
def write_export(export_id: int) -> None:
    """Write an export's file."""
    try:
        exports.write_export(export_id=export_id)
    except Exception as error:
        exports.fail_export(export_id=export_id, error=f"{type(error).__name__}: {error}")
        raise


@shared_task(name="labeling.tasks.expire_leases")
def expire_leases() -> None:
    """Give back what is leased and whose time is over, to be ranked or to be written to."""
    while assignments.expire_leases() or writing.expire_writing_leases():
        pass


@shared_task(name="labeling.tasks.ring_due")
def ring_due() -> None:
    """Ring again for imports and exports that are due."""
    older_than = timezone.now() - LOST_AFTER
    for batch_id in imports.requeue_lost_imports(older_than=older_than):
        import_prompts.delay(batch_id)
    for export_id in exports.requeue_lost_exports(older_than=older_than):
        write_export.delay(export_id)


@shared_task(name="labeling.tasks.render_stale")
def render_stale() -> None:
    """Render again what an older renderer wrote; where all is done, look again in an hour."""
    key = f"all-rendered-{RENDERER_VERSION}"
    if cache.get(key):
        return
    if renderings.render_stale(budget=RENDER_BUDGET) < RENDER_BUDGET:
        cache.set(key, True, ALL_RENDERED_KEPT_S)
    else:
        render_stale.delay()
