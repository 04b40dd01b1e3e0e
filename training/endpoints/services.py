"""Writes of endpoints: made, changed, tested, offered to projects; their keys locked anew."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.domain.sentences import parts_of
from labeling.exceptions import InvalidInput, PrefloopError
from labeling.language import said
from labeling.models import Project, User
from labeling.services import audit
from training.endpoints.addresses import resolve, url_problem
from training.endpoints.client import Client, Server
from training.endpoints.errors import AddressRefused, EndpointError
from training.endpoints.keys import key_problem, lock_key, relock_key, variable_problem
from training.endpoints.models import Endpoint
from training.endpoints.protocol import Ask
from training.endpoints.selectors import server_of
from training.models import ModelVersion
from training.services.models import add_version

SETTINGS: Final = (
    "name",
    "base_url",
    "model_name",
    "key_variable",
    "concurrency",
    "requests_per_minute",
    "silence_s",
    "answer_s",
    "retries",
    "allows_private",
    "is_active",
)
"""What a form or the API may set, beside the key itself."""

LIMITS: Final = {
    "concurrency": (1, 256),
    "requests_per_minute": (0, 1_000_000),
    "silence_s": (1, 3600),
    "answer_s": (1, 7200),
    "retries": (0, 20),
}
TEST_S: Final = 20.0
KNOCK_S: Final = 5.0
"""Nobody waits to see a knock's answer, and it takes a process of the worker meanwhile."""


@transaction.atomic
def create_endpoint(
    *,
    actor: User | None,
    project: Project | None = None,
    key: str = "",
    **settings: Any,
) -> Endpoint:
    """Name a server that the site, or one project, may ask. Raises InvalidInput by field.

    With a project its model is offered there at once. `key` is stored under the site's secret;
    `key_variable` names the environment variable that holds it instead.
    """
    endpoint = Endpoint(project=project, created_by=actor)
    _apply(endpoint, settings, key)
    endpoint.save()
    _record(endpoint, actor, "endpoint.create")
    if project is not None:
        offer_model(actor=actor, endpoint=endpoint, project=project)
    return endpoint


@transaction.atomic
def update_endpoint(
    *, actor: User | None, endpoint: Endpoint, key: str | None = None, **settings: Any
) -> Endpoint:
    """Change an endpoint; a `key` of None stays as it is, an empty one is removed.

    A stored key is never sent to another server than the one that it was given for: with another
    address it must be given again. Where the model becomes another one, those who had it are
    offered the new one beside it. Raises InvalidInput by field.
    """
    endpoint = Endpoint.objects.select_for_update(of=("self",)).get(pk=endpoint.pk)
    before = endpoint.identity
    if key is None and endpoint.key_cipher and _moves(endpoint, settings):
        text = _("The key was given for another server: give it again.")
        raise InvalidInput(_("Some settings can't be taken."), errors={"key": [text]})
    _apply(endpoint, settings, key)
    if endpoint.identity != before:
        endpoint.problem, endpoint.problem_parts, endpoint.checked_at = "", {}, None
    endpoint.save()
    _record(endpoint, actor, "endpoint.update")
    if endpoint.identity != before:
        for project in Project.objects.filter(model_versions__endpoint=endpoint).distinct():
            offer_model(actor=actor, endpoint=endpoint, project=project)
    return endpoint


def _moves(endpoint: Endpoint, settings: Mapping[str, Any]) -> bool:
    old, new = urlsplit(endpoint.base_url), urlsplit(settings.get("base_url", endpoint.base_url))
    return (old.scheme, old.netloc) != (new.scheme, new.netloc)


def _apply(endpoint: Endpoint, settings: Mapping[str, Any], key: str | None) -> None:
    """Set what was given. Raises InvalidInput by field, and sets nothing that is stored then."""
    errors: dict[str, list[str]] = {}
    for name, value in settings.items():
        if name not in SETTINGS:
            errors[name] = [_("An endpoint has no such setting: remove it.")]
            continue
        setattr(endpoint, name, value.strip() if isinstance(value, str) else value)
    endpoint.base_url = endpoint.base_url.rstrip("/")
    errors |= _field_errors(endpoint) | _address_errors(endpoint) | _key_errors(endpoint, key)
    if errors:
        raise InvalidInput(_("Some settings can't be taken."), errors=errors)
    if key is not None:
        endpoint.key_cipher = lock_key(key.strip()) if key.strip() else ""


def _field_errors(endpoint: Endpoint) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    try:
        endpoint.clean_fields(exclude=["project", "created_by", "base_url"])
    except ValidationError as found:
        errors |= {name: list(texts) for name, texts in found.message_dict.items()}
    for name, (least, most) in LIMITS.items():
        if name not in errors and not least <= getattr(endpoint, name) <= most:
            errors[name] = [
                _("Use a whole number from {least} to {most}.").format(least=least, most=most)
            ]
    others = Endpoint.objects.filter(name=endpoint.name).exclude(pk=endpoint.pk)
    if endpoint.name and others.exists():
        errors["name"] = [_("There is an endpoint of this name: take another.")]
    return errors


def _address_errors(endpoint: Endpoint) -> dict[str, list[str]]:
    """Judge the URL as it is written, and where its name leads now; connecting judges again."""
    allows = endpoint.allows_private
    problem = url_problem(endpoint.base_url, allows_private=allows)
    if problem is None:
        parts = urlsplit(endpoint.base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            resolve(parts.hostname or "", port, allows_private=allows)
        except AddressRefused as error:
            problem = error.args[0]
        except EndpointError:
            pass  # a name that nobody knows yet leads nowhere; the test of the connection says so
    return {"base_url": [said(problem)]} if problem else {}


def _key_errors(endpoint: Endpoint, key: str | None) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    given = key.strip() if key else ""
    keeps = key is None and bool(endpoint.key_cipher)
    if given and (problem := key_problem(given)):
        errors["key"] = [problem]
    if endpoint.key_variable and (problem := variable_problem(endpoint.key_variable)):
        errors["key_variable"] = [problem]
    if endpoint.key_variable and (given or keeps):
        errors["key_variable"] = [
            _("The key stands in one place: take away the stored key, or leave this empty.")
        ]
    return errors


@transaction.atomic
def offer_model(*, actor: User | None, endpoint: Endpoint, project: Project) -> ModelVersion:
    """Let a project ask the endpoint's model; done once or twice it comes to the same.

    Raises InvalidInput where the endpoint is another project's.
    """
    if endpoint.project_id not in (None, project.pk):
        text = _("This endpoint is another project's own.")
        raise InvalidInput(text, errors={"project": [text]})
    rows = ModelVersion.objects.filter(project=project, endpoint=endpoint)
    found = rows.filter(sha256=endpoint.identity).order_by("-pk").first()
    if found is not None:
        return found
    return add_version(
        actor=actor,
        project=project,
        name=endpoint.name,
        kind=ModelVersion.Kind.OUTSIDE,
        path="",
        endpoint=endpoint,
        sha256=endpoint.identity,
        provenance={"from": endpoint.base_url, "note": endpoint.model_name},
    )


def check_endpoint(*, actor: User | None, endpoint: Endpoint) -> Endpoint:
    """Ask the server for one short reply, and keep what was wrong; `problem` is empty if it works.

    No transaction is open while it is asked.
    """
    problem = _found_wrong(endpoint, limit_s=TEST_S)
    with transaction.atomic():
        held = _keep(endpoint, problem)
        audit.record(
            actor=actor,
            project=held.project,
            verb="endpoint.test",
            obj=held,
            data={"name": held.name, "works": not problem},
        )
    return held


def knock(*, endpoint: Endpoint) -> bool:
    """Return whether the endpoint answers, on behalf of runs that wait for it."""
    problem = _found_wrong(endpoint, limit_s=KNOCK_S)
    with transaction.atomic():
        _keep(endpoint, problem)
    return not problem


def _keep(endpoint: Endpoint, problem: str) -> Endpoint:
    held = Endpoint.objects.select_for_update(of=("self",)).get(pk=endpoint.pk)
    held.problem, held.problem_parts = problem, parts_of(problem)
    held.checked_at = timezone.now()
    held.save(update_fields=["problem", "problem_parts", "checked_at"])
    return held


def _found_wrong(endpoint: Endpoint, *, limit_s: float) -> str:
    """Return what is wrong with an endpoint, by asking it; empty where it replies."""
    ask = Ask(messages=[{"role": "user", "content": "Say yes."}], max_new_tokens=8)
    try:
        quick = replace(
            server_of(endpoint),
            retries=0,
            connect_timeout_s=min(limit_s, Server.connect_timeout_s),
            read_timeout_s=limit_s,
            total_timeout_s=limit_s,
        )
        with Client(quick) as client:
            try:
                client.reply(ask)
            except EndpointError as error:
                return client.told(error)
    except EndpointError as error:  # an address or a key with which there is no client
        sentence: str = error.args[0]
        return sentence
    except PrefloopError as error:
        return error.message
    return ""


@transaction.atomic
def relock_keys(*, actor: User | None) -> int:
    """Put every stored key under the newest secret; return how many.

    All or none: raises InvalidInput, naming the endpoint, where a secret is gone.
    """
    rows = list(Endpoint.objects.select_for_update(of=("self",)).exclude(key_cipher=""))
    for endpoint in rows:
        try:
            endpoint.key_cipher = relock_key(endpoint.key_cipher)
        except InvalidInput as error:
            raise InvalidInput(f"{endpoint.name}: {error.message}") from None
        endpoint.save(update_fields=["key_cipher"])
        audit.record(actor=actor, project=endpoint.project, verb="endpoint.relock", obj=endpoint)
    return len(rows)


def _record(endpoint: Endpoint, actor: User | None, verb: str) -> None:
    """Write down the deed and every setting; of the key, where it is kept."""
    said_of_it = {name: getattr(endpoint, name) for name in SETTINGS}
    where = "variable" if endpoint.key_variable else "stored" if endpoint.key_cipher else "none"
    audit.record(
        actor=actor,
        project=endpoint.project,
        verb=verb,
        obj=endpoint,
        data={**said_of_it, "key": where},
    )
