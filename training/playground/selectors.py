"""Reads of the playground: which models a project may talk to, and which of them are served."""

import socket

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from labeling.exceptions import NotFound
from labeling.models import Project
from training.models import ModelVersion
from training.playground.models import ServedModel
from training.selectors import usable_models

Kind = ModelVersion.Kind
MOST_OFFERED = 200


def talking_models(project: Project) -> QuerySet[ModelVersion]:
    """Return the policies and outside models that the project may use, newest first."""
    usable = usable_models(project, [Kind.POLICY, Kind.OUTSIDE])
    in_use = Q(endpoint=None) | Q(endpoint__is_active=True)
    return usable.filter(in_use).select_related("endpoint")


def talking_model(project: Project, pk: int) -> ModelVersion:
    """Return one model to talk to. Raises NotFound."""
    model = talking_models(project).filter(pk=pk).first()
    if model is None:
        raise NotFound(_("There is no such model in this project."))
    return model


def is_near(served: ServedModel) -> bool:
    """Return whether the child is on this machine, where alone its port can be reached."""
    return served.worker.rpartition(":")[0] == socket.gethostname()
