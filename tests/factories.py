"""What tests are made of: people, projects, prompts and comparisons, through the services."""

from itertools import count
from typing import Any

from labeling.domain.records import Record, Reply, Source
from labeling.models import Comparison, Membership, Project, Prompt, Role, User
from labeling.services.comparisons import queue_comparisons
from labeling.services.projects import create_project, set_member
from labeling.services.prompts import ensure_candidates, ensure_prompts, ensure_sources

PASSWORD = "correct horse battery staple"
# The order in which every test of access asks: nobody signed in, a stranger, and five roles.
ACTORS = ("anonymous", "stranger", "annotator", "viewer", "manager", "owner", "admin")

_numbers = count(1)


def _number() -> int:
    return next(_numbers)


def make_user(username: str | None = None, **fields: Any) -> User:
    """Return a new account that can sign in with PASSWORD."""
    username = username or f"person-{_number()}"
    return User.objects.create_user(username=username, password=PASSWORD, **fields)


def make_admin(username: str | None = None, **fields: Any) -> User:
    """Return a new account that may do everything on the site."""
    return make_user(username or f"admin-{_number()}", is_superuser=True, **fields)


def make_project(owner: User | None = None, **settings: Any) -> Project:
    """Return a new project with its owner, a guideline and a flag set."""
    number = _number()
    settings.setdefault("name", f"Project {number}")
    settings.setdefault("slug", f"project-{number}")
    return create_project(actor=owner or make_user(f"owner-{number}"), **settings)


def make_member(project: Project, role: str = Role.ANNOTATOR, user: User | None = None) -> User:
    """Return an account, new where none is given, that has the role in the project."""
    user = user or make_user(f"{role}-{_number()}")
    set_member(actor=owner_of(project), project=project, user=user, role=Role(role))
    return user


def owner_of(project: Project) -> User:
    """Return the first owner of the project."""
    return Membership.objects.filter(project=project, role=Role.OWNER)[0].user


def _message(role: str, text: str) -> list[dict[str, Any]]:
    return [{"role": role, "content": [{"type": "text", "text": text}]}]


def make_prompts(
    project: Project, count: int, candidates: int = 4, text: str | None = None, author: str = ""
) -> list[Prompt]:
    """Return new prompts, each with distinct candidates, each of those from a model of its own."""
    texts = [text or f"Question {_number()}?" for _ in range(count)]
    records = [Record(prompt=_message("user", asked), author=author) for asked in texts]
    prompts, _ = ensure_prompts(project=project, records=records)
    replies = [
        (prompt, Reply(_message("assistant", f"Reply {n} to: {asked}"), (Source(f"model-{n}"),)))
        for prompt, asked in zip(prompts.values(), texts, strict=True)
        for n in range(candidates)
    ]
    made, _ = ensure_candidates(replies=replies)
    sources = [
        (row, source)
        for row, (_, reply) in zip(made.values(), replies, strict=True)
        for source in reply.sources
    ]
    ensure_sources(sources=sources, batch=None)
    return list(prompts.values())


def make_prompt(
    project: Project, text: str | None = None, candidates: int = 4, author: str = ""
) -> Prompt:
    """Return one new prompt with that many distinct candidates."""
    return make_prompts(project, 1, candidates, text, author)[0]


def make_comparison(project: Project, k: int = 4, overlap: int = 1) -> Comparison:
    """Return a new open comparison of K candidates of a new prompt."""
    prompt = make_prompt(project, candidates=k)
    (comparison,) = queue_comparisons(
        actor=None, project=project, prompt_ids=[prompt.pk], overlap=overlap, size=k
    )
    return comparison


def seven_actors(project: Project) -> dict[str, User | None]:
    """Return an asker for each name in ACTORS; the anonymous one is None."""
    actors: dict[str, User | None] = {"anonymous": None, "stranger": make_user()}
    for role in (Role.ANNOTATOR, Role.VIEWER, Role.MANAGER):
        actors[role.value] = make_member(project, role)
    return actors | {"owner": owner_of(project), "admin": make_admin()}
