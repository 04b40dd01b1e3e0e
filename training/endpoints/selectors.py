"""Reads of endpoints: which there are, how each is asked, and what waits for one."""

import os
from dataclasses import asdict
from typing import Any, Final

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from labeling.exceptions import InvalidInput, NotFound
from labeling.models import Project
from training.endpoints.client import Server
from training.endpoints.keys import open_key
from training.endpoints.models import Endpoint
from training.models import ModelVersion
from training.selectors import usable_models

CONNECT_S: Final = 10.0


def endpoints() -> QuerySet[Endpoint]:
    """Return all endpoints by name, each with the number of projects that its model is offered."""
    return (
        Endpoint.objects.select_related("project", "created_by")
        .annotate(
            project_count=Count("model_versions__project", distinct=True),
        )
        .order_by("name")
    )


def get_endpoint(pk: int) -> Endpoint:
    """Return one endpoint. Raises NotFound."""
    found = endpoints().filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no such endpoint."))
    return found


def offered(endpoint: Endpoint) -> QuerySet[ModelVersion]:
    """Return the model versions that stand for the endpoint, newest first."""
    return ModelVersion.objects.filter(endpoint=endpoint).select_related("project").order_by("-pk")


def outside_models(project: Project) -> QuerySet[ModelVersion]:
    """Return the outside models that the project may ask, newest first.

    One whose endpoint was switched off, or leads to another model by now, is none of them.
    """
    models = usable_models(project, [ModelVersion.Kind.OUTSIDE]).select_related("endpoint")
    return models.filter(endpoint__is_active=True)


def outside_model(project: Project, name: str) -> ModelVersion | None:
    """Return the outside model of that name which the project may ask now; None without one."""
    rows = outside_models(project).filter(Q(name=name))
    return next((model for model in rows if outside_problem(model) is None), None)


def outside_problem(model: ModelVersion) -> str | None:
    """Return why an outside model can't be asked; None where it can, or is no outside one."""
    endpoint = model.endpoint
    if endpoint is None:
        return None
    if not endpoint.is_active:
        return _("The endpoint {name} is switched off: ask an administrator.").format(
            name=endpoint.name
        )
    if endpoint.identity != model.sha256:
        return _(
            "The endpoint {name} leads to another model by now: take the newest version of it."
        ).format(name=endpoint.name)
    return None


def key_of(endpoint: Endpoint) -> str:
    """Return the endpoint's key, empty where it needs none. Raises InvalidInput where it is gone.

    For whoever asks the server: it is shown and logged by nobody.
    """
    if endpoint.key_cipher:
        return open_key(endpoint.key_cipher)
    if not endpoint.key_variable:
        return ""
    found = os.environ.get(endpoint.key_variable, "").strip()
    if not found:
        raise InvalidInput(
            _(
                "The environment variable {name} is not set where this runs: set it for the web "
                "and for the workers, and restart them."
            ).format(name=endpoint.key_variable)
        )
    return found


def server_of(endpoint: Endpoint, *, key: str | None = None) -> Server:
    """Return how the endpoint's server is asked. Raises InvalidInput where its key is gone."""
    return Server(
        base_url=endpoint.base_url,
        model=endpoint.model_name,
        api_key=key_of(endpoint) if key is None else key,
        concurrency=endpoint.concurrency,
        connect_timeout_s=CONNECT_S,
        read_timeout_s=endpoint.silence_s,
        total_timeout_s=endpoint.answer_s,
        retries=endpoint.retries,
        requests_per_minute=endpoint.requests_per_minute,
        allows_private=endpoint.allows_private,
    )


def asked_by(model: ModelVersion) -> tuple[dict[str, Any], str]:
    """Return what a run's folder says of an outside model's server, and apart from it the key.

    Raises InvalidInput where the model can't be asked any more.
    """
    endpoint, problem = model.endpoint, outside_problem(model)
    if endpoint is None or problem:
        raise InvalidInput(problem or _("This model has no endpoint."))
    server = server_of(endpoint)
    told = {name: value for name, value in asdict(server).items() if name != "api_key"}
    return {"name": endpoint.name, "sha256": model.sha256, "server": told}, server.api_key
