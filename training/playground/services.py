"""Writes of the lease by which a model is served: asked for, claimed, kept, ended.

Whoever asks extends the lease; a worker claims it by compare-and-swap and keeps it with the token
that it made for its child. Who has lost the lease finds another token in the row, and ends its
child.
"""

import secrets
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from labeling.models import Project, User
from labeling.services import audit
from training.models import ModelVersion
from training.playground.models import ServedModel

State = ServedModel.State
# Whoever reads the last reply has so long before another model may take its place.
KEPT_S = 60
MAX_PROBLEM = 2000


def _lease() -> timedelta:
    return timedelta(seconds=settings.SERVE_LEASE_S)


def _lock_live(*ids: int) -> None:
    """Lock what waits or is held, and these rows, in one order: so nobody waits in a circle.

    Two that claim at once lock the same rows, so the second one counts the first one's.
    """
    live = Q(state__in=[State.WAITING, *ServedModel.HELD])
    rows = ServedModel.objects.filter(live | Q(pk__in=ids))
    list(rows.order_by("pk").select_for_update().values_list("pk"))


def _held() -> QuerySet[ServedModel]:
    """Return the leases whose worker gives signs of life."""
    patience = timedelta(seconds=settings.SERVE_LOST_AFTER_S)
    return ServedModel.objects.filter(
        state__in=ServedModel.HELD, heartbeat_at__gte=Now() - patience
    )


@transaction.atomic
def ask_model(*, actor: User, project: Project, model: ModelVersion) -> ServedModel:
    """Have a model served, or served on; `tasks.ring_served` tells a worker after the commit.

    A child whose worker gives no sign of life is given up, and so is an idle one of another model
    where no place is left.
    """
    ServedModel.objects.get_or_create(
        model=model, defaults={"state": State.STOPPED, "lease_until": Now(), "asked_at": Now()}
    )
    row = ServedModel.objects.filter(model=model)
    _lock_live(model.pk)
    waits = row.filter(state=State.WAITING, lease_until__gte=Now())
    if not _held().filter(model=model).exists() and not waits.exists():
        row.update(state=State.WAITING, token="", port=None, problem="", heartbeat_at=None)
        said = {"model": str(model)}
        audit.record(actor=actor, project=project, verb="model.serve", obj=model, data=said)
    row.update(lease_until=Now() + _lease(), asked_at=Now())
    served = row.get()
    if served.state == State.WAITING:
        _make_room()
    return served


def _make_room() -> None:
    """End the lease that nobody has used for longest, where all places are taken."""
    held = _held()
    if held.count() < settings.SERVE_MODELS:
        return
    unused = held.filter(asked_at__lt=Now() - timedelta(seconds=KEPT_S)).order_by("asked_at")
    ids = list(unused.values_list("pk", flat=True)[:1])
    ServedModel.objects.filter(pk__in=ids).update(lease_until=Now())


def give_up_child(*, served: ServedModel) -> None:
    """Note that the child does not answer: the next who asks gets another one.

    Does nothing where the row has moved on to another child.
    """
    rows = ServedModel.objects.filter(pk=served.pk, state=State.READY, token=served.token)
    rows.update(state=State.STOPPED, token="", port=None)


@transaction.atomic
def claim_served(*, model_id: int, worker: str) -> ServedModel | None:
    """Take a lease in hand; None where nobody waits, or as many models are served as may be."""
    _lock_live()
    row = ServedModel.objects.filter(pk=model_id, state=State.WAITING, lease_until__gte=Now())
    if _held().exclude(pk=model_id).count() >= settings.SERVE_MODELS:
        return None
    token = secrets.token_urlsafe(32)
    won = row.update(
        state=State.LOADING, token=token, worker=worker[:200], heartbeat_at=Now(), problem=""
    )
    return ServedModel.objects.select_related("model").get(pk=model_id) if won else None


def _own(served: ServedModel) -> QuerySet[ServedModel]:
    return ServedModel.objects.filter(
        pk=served.pk, token=served.token, state__in=ServedModel.HELD
    ).exclude(token="")


def mark_ready(*, served: ServedModel, port: int) -> bool:
    """Say at which port the child answers; returns whether the lease is still ours."""
    return bool(_own(served).update(state=State.READY, port=port, heartbeat_at=Now()))


def keep_lease(*, served: ServedModel, busy: bool) -> bool:
    """Give a sign of life; returns whether the child is to go on.

    A lease that ran out ends the child, unless it is in the middle of a reply.
    """
    own = _own(served)
    if not busy:
        own = own.filter(lease_until__gt=Now())
    return bool(own.update(heartbeat_at=Now()))


def end_served(*, served: ServedModel, problem: str = "") -> None:
    """Put down that the child has ended, and why, if it did so by itself."""
    state = State.FAILED if problem else State.STOPPED
    _own(served).update(state=state, token="", port=None, problem=problem[-MAX_PROBLEM:])


@transaction.atomic
def due_served(*, ring_again_after_s: float) -> list[int]:
    """Return the models for which a worker is to be rung again, and note the ring.

    Leases that ran out before anybody took them, and those whose worker is lost, are ended.
    """
    _lock_live()
    patience = timedelta(seconds=settings.SERVE_LOST_AFTER_S)
    lost = Q(state__in=ServedModel.HELD, heartbeat_at__lt=Now() - patience)
    late = Q(state=State.WAITING, lease_until__lt=Now())
    ServedModel.objects.filter(lost | late).update(state=State.STOPPED, token="", port=None)
    waiting = ServedModel.objects.filter(state=State.WAITING)
    silent = Q(heartbeat_at=None) | Q(
        heartbeat_at__lt=Now() - timedelta(seconds=ring_again_after_s)
    )
    ids = list(waiting.filter(silent).order_by("asked_at").values_list("pk", flat=True))
    ServedModel.objects.filter(pk__in=ids, state=State.WAITING).update(heartbeat_at=Now())
    return ids
