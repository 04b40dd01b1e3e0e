"""The record of deeds: one event, in the transaction of the deed itself."""

from typing import Any

from django.db.models import Model

from labeling.models import AuditEvent, Project, User


def record(
    *,
    actor: User | None,
    project: Project | None,
    verb: str,
    obj: Model,
    data: dict[str, Any] | None = None,
) -> AuditEvent:
    """Write that `actor` did `verb` to `obj`; None is the system itself."""
    return AuditEvent.objects.create(
        actor=actor,
        project=project,
        verb=verb,
        object_type=obj._meta.model_name or "",
        object_id=str(obj.pk),
        data=data or {},
    )
