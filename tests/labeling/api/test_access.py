"""Every address of the API, asked as each of seven people."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from rest_framework.test import APIClient

from labeling.api.urls import urlpatterns
from labeling.models import Export, ImportBatch, Project, User
from labeling.services.assignments import claim_next
from labeling.services.exports import request_export
from labeling.services.imports import create_import
from labeling.services.judgements import Submission, submit_judgement
from labeling.services.snapshots import freeze_snapshot
from labeling.services.writing import claim_writing
from tests.factories import ACTORS, PASSWORD, make_comparison, make_project, seven_actors
from tests.labeling.api.conftest import ClientFor

pytestmark = pytest.mark.django_db


@dataclass
class World:
    """One project with something of everything in it, and the seven who ask."""

    project: Project
    actors: dict[str, User | None]
    ids: dict[str, Any] = field(default_factory=dict)

    @property
    def annotator(self) -> User:
        """Whoever holds the assignment."""
        user = self.actors["annotator"]
        assert user is not None
        return user


def _claimed(world: World) -> uuid.UUID:
    card = claim_next(actor=world.annotator, project=world.project)
    assert card is not None
    return card.assignment_uid


def _writing(world: World) -> uuid.UUID:
    card = claim_writing(actor=world.annotator, project=world.project)
    assert card is not None
    return card.assignment_uid


@pytest.fixture
def world() -> World:
    """Return the world, with a judged comparison and a leased one."""
    project = make_project(demonstrations_per_prompt=1)
    world = World(project, seven_actors(project))
    make_comparison(project, k=2)
    make_comparison(project, k=2)
    judgement = submit_judgement(
        actor=world.annotator,
        assignment_uid=_claimed(world),
        submission=Submission(tiers=[[0], [1]], touched=True),
        idempotency_key="first",
    )
    owner = world.actors["owner"]
    assert owner is not None
    snapshot = freeze_snapshot(actor=owner, project=project)
    batch = create_import(actor=owner, project=project, file_name="a.jsonl", chunks=[b"{}\n"])
    export = request_export(actor=owner, snapshot=snapshot, format="kway", container="jsonl")
    world.ids = {
        "slug": project.slug,
        "assignment": _claimed(world),
        "judgement": judgement.uid,
        "writing": _writing(world),
        "snapshot": snapshot.pk,
        "batch": batch.uid,
        "export": export.uid,
        "username": world.annotator.username,
    }
    return world


@dataclass(frozen=True)
class Deed:
    """A request, and the status that each of ACTORS is to get, in their order."""

    name: str
    method: str
    path: str
    statuses: tuple[int, ...]
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


EVERY_MEMBER = (401, 404, 200, 200, 200, 200, 200)
READERS = (401, 404, 403, 200, 200, 200, 200)
OWNERS = (401, 404, 403, 403, 403, 200, 200)
ASSIGNEE = (401, 404, 200, 404, 404, 404, 404)


def _managers(status: int) -> tuple[int, ...]:
    return (401, 404, 403, 403, status, status, status)


def _owners(status: int) -> tuple[int, ...]:
    return (401, 404, 403, 403, 403, status, status)


_P = "/api/v1/projects/{slug}/"
_LOGIN = {"username": "{username}", "password": PASSWORD}
_RANKING = {"tiers": [[1], [0]]}
_ROWS = {"rows": [{"prompt": "Q"}]}

TABLE = [
    Deed("token", "post", "/api/v1/token/", (200,) * 7, _LOGIN),
    Deed("me", "get", "/api/v1/me/", (401, 200, 200, 200, 200, 200, 200)),
    Deed("projects", "get", "/api/v1/projects/", (401, 200, 200, 200, 200, 200, 200)),
    Deed(
        "projects",
        "post",
        "/api/v1/projects/",
        (401, 403, 403, 403, 403, 403, 201),
        {"slug": "fresh", "name": "Fresh"},
    ),
    Deed("project", "get", _P, EVERY_MEMBER),
    Deed("project", "patch", _P, _managers(200), {"overlap": 3}),
    Deed("progress", "get", f"{_P}progress/", EVERY_MEMBER),
    Deed("quality", "get", f"{_P}quality/", READERS),
    Deed("strength", "get", f"{_P}quality/models/", READERS),
    Deed("guidelines", "get", f"{_P}guidelines/", EVERY_MEMBER),
    Deed("guidelines", "post", f"{_P}guidelines/", _managers(201), {"text": "Be fair."}),
    Deed("guideline", "get", f"{_P}guidelines/1/", EVERY_MEMBER),
    Deed("members", "get", f"{_P}members/", OWNERS),
    Deed(
        "members", "post", f"{_P}members/", OWNERS, {"username": "{username}", "role": "annotator"}
    ),
    Deed("member", "delete", f"{_P}members/{{username}}/", _owners(204)),
    Deed("prompts", "get", f"{_P}prompts/", READERS),
    Deed("imports", "get", f"{_P}imports/", _managers(200)),
    Deed("imports", "post", f"{_P}imports/", _managers(202), _ROWS),
    Deed("import", "get", "/api/v1/imports/{batch}/", _managers(200)),
    Deed("next", "post", f"{_P}assignments/next/", (401, 404, 200, 403, 204, 204, 204)),
    Deed(
        "judgement",
        "post",
        "/api/v1/assignments/{assignment}/judgement/",
        ASSIGNEE,
        _RANKING,
        {"Idempotency-Key": "k"},
    ),
    Deed(
        "skip",
        "post",
        "/api/v1/assignments/{assignment}/skip/",
        (401, 404, 204, 404, 404, 404, 404),
        {"reason": "off topic"},
    ),
    Deed("renew", "post", "/api/v1/assignments/{assignment}/renew/", ASSIGNEE),
    Deed("own_judgement", "get", f"{_P}own-judgements/1/", (401, 404, 200, 403, 404, 404, 404)),
    Deed(
        "revision",
        "post",
        "/api/v1/judgements/{judgement}/revision/",
        ASSIGNEE,
        _RANKING,
        {"Idempotency-Key": "again"},
    ),
    Deed("flag_sets", "get", f"{_P}flag-sets/", EVERY_MEMBER),
    Deed("flag_sets", "post", f"{_P}flag-sets/", _managers(201), {"flags": []}),
    Deed("writing_next", "post", f"{_P}writing/next/", (401, 404, 200, 403, 200, 200, 200)),
    Deed(
        "demonstration",
        "post",
        "/api/v1/writing/{writing}/demonstration/",
        ASSIGNEE,
        {"text": "A reply."},
        {"Idempotency-Key": "k"},
    ),
    Deed(
        "writing_skip",
        "post",
        "/api/v1/writing/{writing}/skip/",
        (401, 404, 204, 404, 404, 404, 404),
        {"reason": "off topic"},
    ),
    Deed("writing_renew", "post", "/api/v1/writing/{writing}/renew/", ASSIGNEE),
    Deed("snapshots", "get", f"{_P}snapshots/", READERS),
    Deed("snapshots", "post", f"{_P}snapshots/", _managers(201), {"note": "n"}),
    Deed("snapshot", "get", "/api/v1/snapshots/{snapshot}/", READERS),
    Deed("exports", "get", "/api/v1/snapshots/{snapshot}/exports/", OWNERS),
    Deed(
        "exports", "post", "/api/v1/snapshots/{snapshot}/exports/", _owners(202), {"format": "kway"}
    ),
    Deed("export", "get", "/api/v1/exports/{export}/", OWNERS),
    # The file is not written yet, which is told to those who may have it.
    Deed("download", "get", "/api/v1/exports/{export}/download/", _owners(409)),
]


def _filled(value: Any, ids: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, ids) for key, item in value.items()}
    return value.format(**ids) if isinstance(value, str) else value


def _ask(client: APIClient, deed: Deed, ids: dict[str, Any]) -> Any:
    send: Callable[..., Any] = getattr(client, deed.method)
    body = {} if deed.method == "get" else {"data": _filled(deed.body, ids), "format": "json"}
    return send(deed.path.format(**ids), headers=deed.headers, **body)


def test_the_table_knows_every_address() -> None:
    assert {deed.name for deed in TABLE} == {pattern.name for pattern in urlpatterns}


def test_the_table_knows_every_method() -> None:
    asked = {(deed.name, deed.method) for deed in TABLE}
    for pattern in urlpatterns:
        view = pattern.callback.view_class  # type: ignore[attr-defined]
        for method in ("get", "post", "put", "patch", "delete"):
            if hasattr(view, method):
                assert (pattern.name, method) in asked


@pytest.mark.parametrize("number", range(len(ACTORS)), ids=ACTORS)
@pytest.mark.parametrize("deed", TABLE, ids=lambda deed: f"{deed.method}-{deed.name}")
def test_every_address_as_each_of_seven(
    deed: Deed, number: int, world: World, client_for: ClientFor
) -> None:
    answer = _ask(client_for(world.actors[ACTORS[number]]), deed, world.ids)
    assert answer.status_code == deed.statuses[number], answer.content
    if answer.status_code >= 400:
        assert set(answer.json()) == {"code", "message", "errors"}
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize(
    "deed",
    [deed for deed in TABLE if deed.statuses[1] == 404],
    ids=lambda deed: f"{deed.method}-{deed.name}",
)
def test_a_stranger_learns_nothing_from_what_is_absent(
    deed: Deed, world: World, client_for: ClientFor
) -> None:
    """What is another's and what is nowhere are answered in the same words."""
    nowhere: dict[str, Any] = dict.fromkeys(
        ("assignment", "judgement", "writing", "batch", "export"), uuid.uuid4()
    )
    nowhere |= {"slug": "nowhere", "snapshot": 2**40, "username": "nobody"}
    client = client_for(world.actors["stranger"])
    hidden, absent = _ask(client, deed, world.ids), _ask(client, deed, nowhere)
    assert absent.status_code == 404
    assert hidden.json() == absent.json()


def test_a_member_who_left_keeps_nothing(world: World, client_for: ClientFor) -> None:
    """The lease of somebody who is no member any more is no way in."""
    world.project.memberships.filter(user=world.annotator).delete()
    client = client_for(world.annotator)
    for name in (
        *("judgement", "skip", "renew", "next"),
        *("demonstration", "writing_skip", "writing_renew", "writing_next"),
    ):
        deed = next(deed for deed in TABLE if deed.name == name)
        assert _ask(client, deed, world.ids).status_code == 404
    assert Export.objects.count() == ImportBatch.objects.count() == 1
