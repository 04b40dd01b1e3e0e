"""Every page, asked as each of seven people, in every method; no page may be missing here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from labeling.models import Judgement
from labeling.urls import urlpatterns
from tests.factories import ACTORS, PASSWORD
from tests.labeling.views.conftest import World

NEW_PASSWORD = "an altogether other secret"

# In the order of ACTORS: nobody, a stranger, annotator, viewer, manager, owner, site admin.
SIGNED_IN = (302, 200, 200, 200, 200, 200, 200)
MEMBERS = (302, 404, 200, 200, 200, 200, 200)
ANNOTATING = (302, 404, 200, 403, 200, 200, 200)
READING = (302, 404, 403, 200, 200, 200, 200)
MANAGING = (302, 404, 403, 403, 200, 200, 200)
OWNING = (302, 404, 403, 403, 403, 200, 200)
# A form that was taken leads on by a redirect, as does the way to the login.
ANYBODY_SENDS = (302, 302, 302, 302, 302, 302, 302)
MANAGERS_SEND = (302, 404, 403, 403, 302, 302, 302)
OWNERS_SEND = (302, 404, 403, 403, 403, 302, 302)
ADMIN = (302, 403, 403, 403, 403, 403, 200)
ADMIN_SENDS = (302, 403, 403, 403, 403, 403, 302)
EVERYBODY = (200, 200, 200, 200, 200, 200, 200)
ITS_HOLDER_SENDS = (302, 404, 302, 404, 404, 404, 404)


@dataclass(frozen=True)
class Deed:
    """A request and the status that each of ACTORS gets."""

    name: str
    statuses: tuple[int, ...]
    parts: tuple[str, ...] = ()
    data: Callable[[World], dict[str, Any]] | None = None

    @property
    def method(self) -> str:
        """Return the HTTP method: what carries data is a POST."""
        return "GET" if self.data is None else "POST"

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


def _settings(world: World) -> dict[str, Any]:
    return {
        "name": "Another name",
        "candidates_per_comparison": 4,
        "overlap": 1,
        "lease_minutes": 30,
        "demonstrations_per_prompt": 0,
        "strength_scale": 0,
        "validation_share": 0.1,
        "test_share": 0.1,
        "gold_share": 0.1,
    }


def _ranking(world: World) -> dict[str, Any]:
    ranks = {f"rank-{position}": position + 1 for position in range(4)}
    return {"assignment": world.ids["assignment"], "key": "k", **ranks}


def _revision(world: World) -> dict[str, Any]:
    judged = Judgement.objects.get(annotator__project=world.project)
    return {**_ranking(world), "judgement": judged.uid, "key": "again"}


def _reply(world: World) -> dict[str, Any]:
    return {"assignment": world.ids["writing"], "key": "another key", "text": "A reply."}


def _file(world: World) -> dict[str, Any]:
    return {"file": SimpleUploadedFile("b.jsonl", b'{"prompt": "Why?", "responses": []}\n')}


def _new_password(world: World) -> dict[str, Any]:
    return {"password": NEW_PASSWORD, "again": NEW_PASSWORD}


def _own_password(world: World) -> dict[str, Any]:
    return {"current": PASSWORD, **_new_password(world)}


PROJECT = ("slug",)
DEEDS = [
    Deed("login", (200, 302, 302, 302, 302, 302, 302)),
    Deed("login", (422, 302, 302, 302, 302, 302, 302), data=lambda w: {"username": "nobody"}),
    Deed("logout", ANYBODY_SENDS, data=lambda w: {}),
    Deed("own_settings", SIGNED_IN),
    Deed("own_settings", ANYBODY_SENDS, data=lambda w: {"time_zone": "Asia/Tokyo", "language": ""}),
    Deed("own_password", SIGNED_IN),
    Deed("own_password", ANYBODY_SENDS, data=_own_password),
    Deed("password_link", EVERYBODY, ("waiting", "token")),
    Deed("password_link", ANYBODY_SENDS, ("waiting", "token"), _new_password),
    Deed("account_list", ADMIN),
    Deed("account_list", ADMIN_SENDS, data=lambda w: {"username": "another"}),
    Deed("account_detail", ADMIN, ("account",)),
    Deed("account_erase", ADMIN, ("account",)),
    Deed(
        "account_erase",
        ADMIN_SENDS,
        ("account",),
        lambda w: {"username": w.actor("stranger").username},
    ),
    Deed("account_deed", ADMIN_SENDS, ("account", "deed"), lambda w: {}),
    Deed("project_list", SIGNED_IN),
    Deed("project_new", ADMIN),
    Deed("project_new", ADMIN_SENDS, data=lambda w: {**_settings(w), "slug": "fresh"}),
    Deed("project_detail", MEMBERS, PROJECT),
    Deed("project_settings", MANAGING, PROJECT),
    Deed("project_settings", MANAGERS_SEND, PROJECT, _settings),
    Deed("flag_set", MANAGING, PROJECT),
    Deed("flag_set", MANAGERS_SEND, PROJECT, lambda w: {"flags": "rude: Rude"}),
    Deed("guideline_list", MEMBERS, PROJECT),
    Deed("guideline_list", MANAGERS_SEND, PROJECT, lambda w: {"text": "Be fair."}),
    Deed("audit_log", OWNING, PROJECT),
    Deed("member_list", OWNING, PROJECT),
    Deed(
        "member_list",
        OWNERS_SEND,
        PROJECT,
        lambda w: {"username": w.actor("stranger").username, "role": "viewer"},
    ),
    Deed("member_role", OWNERS_SEND, ("slug", "member"), lambda w: {"role": "manager"}),
    Deed("member_remove", OWNERS_SEND, ("slug", "member"), lambda w: {}),
    Deed("prompt_list", READING, PROJECT),
    Deed("prompt_detail", READING, ("slug", "prompt")),
    Deed("candidate_flag", MANAGERS_SEND, ("slug", "candidate"), lambda w: {"flagged": "0"}),
    Deed("import_list", MANAGING, PROJECT),
    Deed("import_list", MANAGERS_SEND, PROJECT, _file),
    Deed("import_detail", MANAGING, ("slug", "batch")),
    Deed("compare", ANNOTATING, PROJECT),
    Deed("compare_ahead", ANNOTATING, PROJECT),
    Deed("compare_submit", ITS_HOLDER_SENDS, PROJECT, _ranking),
    Deed(
        "compare_skip",
        ITS_HOLDER_SENDS,
        PROJECT,
        lambda w: {"assignment": w.ids["assignment"], "reason": "Other"},
    ),
    Deed(
        "compare_renew",
        (302, 404, 204, 404, 404, 404, 404),
        PROJECT,
        lambda w: {"assignment": w.ids["assignment"]},
    ),
    Deed("compare_back", (302, 404, 302, 403, 404, 404, 404), PROJECT),
    Deed("compare_revise", (302, 404, 302, 403, 404, 404, 404), PROJECT, _revision),
    Deed(
        "compare_guideline", (302, 404, 204, 403, 204, 204, 204), PROJECT, lambda w: {"version": 1}
    ),
    Deed("demonstration_withdraw", MANAGERS_SEND, ("slug", "prompt", "written"), lambda w: {}),
    Deed("write", ANNOTATING, PROJECT),
    Deed("write_submit", ITS_HOLDER_SENDS, PROJECT, _reply),
    Deed("write_draft", ITS_HOLDER_SENDS, PROJECT, _reply),
    Deed("write_preview", ANNOTATING, PROJECT, _reply),
    Deed(
        "write_skip",
        ITS_HOLDER_SENDS,
        PROJECT,
        lambda w: {"assignment": w.ids["writing"], "reason": "Other"},
    ),
    Deed(
        "write_renew",
        (302, 404, 204, 404, 404, 404, 404),
        PROJECT,
        lambda w: {"assignment": w.ids["writing"]},
    ),
    Deed("write_correct", (302, 404, 200, 403, 404, 404, 404), ("slug", "own_writing")),
    Deed("write_correct", (302, 404, 302, 403, 404, 404, 404), ("slug", "own_writing"), _reply),
    Deed("own_work", ANNOTATING, PROJECT),
    Deed("quality", READING, PROJECT),
    Deed("strength", READING, PROJECT),
    Deed(
        "gold_set",
        MANAGERS_SEND,
        ("slug", "comparison"),
        lambda w: {"judgement": w.ids["judgement"]},
    ),
    Deed("gold_withdraw", (302, 404, 403, 403, 302, 302, 302), ("slug", "gold"), lambda w: {}),
    Deed("snapshot_list", READING, PROJECT),
    Deed("snapshot_list", MANAGERS_SEND, PROJECT, lambda w: {"kind": "preferences"}),
    Deed("snapshot_detail", READING, ("slug", "snapshot")),
    Deed("export_list", OWNING, ("slug", "snapshot")),
    Deed(
        "export_list",
        OWNERS_SEND,
        ("slug", "snapshot"),
        lambda w: {"format": "kway", "container": "jsonl"},
    ),
    Deed("export_download", OWNING, ("slug", "export")),
]


def test_no_page_is_missing_from_the_table() -> None:
    assert {pattern.name for pattern in urlpatterns} == {deed.name for deed in DEEDS}


@pytest.mark.parametrize("deed", DEEDS, ids=str)
def test_every_page_as_each_of_seven(deed: Deed, world: World) -> None:
    """Each asks the same untouched world: what one of them changed is rolled back."""
    found = {}
    for name in ACTORS:
        client = world.client(name)
        with transaction.atomic():
            data = deed.data(world) if deed.data else None
            url = world.url(deed.name, *deed.parts)
            response = client.get(url) if data is None else client.post(url, data)
            transaction.set_rollback(True)
        if response.streaming:
            b"".join(response)  # reads the file to its end, which closes it
        found[name] = response.status_code
    assert found == dict(zip(ACTORS, deed.statuses, strict=True))


@pytest.mark.parametrize("name", sorted({deed.name for deed in DEEDS}))
def test_wrong_method_is_refused(name: str, world: World) -> None:
    deeds = [deed for deed in DEEDS if deed.name == name]
    client = world.client("admin")
    for method in {"GET", "POST", "PUT", "DELETE"} - {deed.method for deed in deeds}:
        response = client.generic(method, world.url(name, *deeds[0].parts))
        assert response.status_code == 405, method


@pytest.mark.parametrize(
    "deed",
    [d for d in DEEDS if d.statuses[0] == 302 and d.name not in {"logout", "password_link"}],
    ids=str,
)
def test_nobody_signed_in_is_led_to_the_login(deed: Deed, world: World) -> None:
    client, url = world.client("anonymous"), world.url(deed.name, *deed.parts)
    page = client.generic(deed.method, url)
    assert page["Location"].startswith(f"{world.url('login')}?next=/")
    piece = client.generic(deed.method, url, headers={"HX-Request": "true"})
    assert piece.status_code == 401
    assert piece["HX-Redirect"].startswith(f"{world.url('login')}?next=/")
