"""A project with something of everything in it, and the seven who ask for its pages."""

import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Demonstration, Export, Project, User
from labeling.services.accounts import create_user
from labeling.services.assignments import claim_next
from labeling.services.demonstrations import Writing, submit_demonstration
from labeling.services.exports import request_export
from labeling.services.gold import set_gold
from labeling.services.imports import create_import
from labeling.services.judgements import Submission, submit_judgement
from labeling.services.passwords import link_token
from labeling.services.snapshots import freeze_snapshot
from labeling.services.writing import claim_writing
from tests.factories import make_comparison, make_project, seven_actors


@dataclass
class World:
    """The project, its actors, and the ids that its addresses are made of."""

    project: Project
    actors: dict[str, User | None]
    ids: dict[str, Any] = field(default_factory=dict)

    def actor(self, name: str) -> User:
        """Return an actor who has an account."""
        user = self.actors[name]
        assert user is not None
        return user

    def url(self, name: str, *parts: str) -> str:
        """Return an address; `parts` name ids of this world."""
        return reverse(f"labeling:{name}", args=[self.ids[part] for part in parts])

    def client(self, name: str) -> Client:
        """Return a browser in which that actor is signed in."""
        client = Client()
        user = self.actors[name]
        if user is not None:
            client.force_login(user)
        return client


def claimed(world: World) -> uuid.UUID:
    """Lease the next comparison to the annotator."""
    card = claim_next(actor=world.actor("annotator"), project=world.project)
    assert card is not None
    return card.assignment_uid


def claimed_writing(world: World) -> uuid.UUID:
    """Lease the next prompt to the annotator, to be written to."""
    card = claim_writing(actor=world.actor("annotator"), project=world.project)
    assert card is not None
    return card.assignment_uid


def write_one(world: World) -> Demonstration:
    """Have the annotator write a reply to the next prompt."""
    return submit_demonstration(
        actor=world.actor("annotator"),
        assignment_uid=claimed_writing(world),
        writing=Writing(text="Written **before**.", idempotency_key=uuid.uuid4().hex),
    )


def _ready_export(owner: User, snapshot: Any, folder: Any) -> Export:
    export = request_export(actor=owner, snapshot=snapshot, format="kway", container="jsonl")
    path = folder / "rows.jsonl"
    path.write_text('{"row": 1}\n')
    Export.objects.filter(pk=export.pk).update(state=Export.State.READY, path=str(path))
    return export


@pytest.fixture
def world(db: None, tmp_path: Any) -> World:
    """Return the world: one comparison judged, one leased to the annotator, some more waiting.

    The same goes for prompts to write a reply to.
    """
    project = make_project(demonstrations_per_prompt=1)
    made = World(project, seven_actors(project))
    comparisons = [make_comparison(project) for _ in range(5)]
    judged = submit_judgement(
        actor=made.actor("annotator"),
        assignment_uid=claimed(made),
        submission=Submission(tiers=[[0], [1], [2], [3]], touched=True),
        idempotency_key="first",
    )
    owner = made.actor("owner")
    snapshot = freeze_snapshot(actor=owner, project=project)
    batch = create_import(actor=owner, project=project, file_name="a.jsonl", chunks=[b"{}\n"])
    viewer = project.memberships.get(user=made.actor("viewer"))
    gold = comparisons[-1]
    set_gold(actor=owner, comparison=gold, tiers=[[0], [1], [2], [3]])
    waiting = create_user(actor=None, username="newcomer", password=None)
    written = write_one(made)
    made.ids = {
        "account": made.actor("stranger").pk,
        "deed": "reset",
        "waiting": waiting.pk,
        "token": link_token(waiting),
        "slug": project.slug,
        "prompt": comparisons[0].prompt_id,
        "candidate": comparisons[0].candidates.all()[0].pk,
        "comparison": comparisons[0].uid,
        "judgement": judged.uid,
        "gold": gold.uid,
        "member": viewer.pk,
        "snapshot": snapshot.number,
        "batch": batch.uid,
        "export": _ready_export(owner, snapshot, tmp_path).uid,
        "assignment": claimed(made),
        "written": written.pk,
        "own_writing": written.assignment.uid,
        "writing": claimed_writing(made),
    }
    return made
