"""Forms and pieces: an invalid form is a 422 with its piece, a taken one leads on."""

import re
from typing import Any

import pytest

from labeling.models import AuditEvent, ImportBatch, Membership, Project, Snapshot
from labeling.services.imports import run_import
from tests.labeling.views.conftest import World

PIECE = {"HX-Request": "true"}

# Address, its ids, who asks, the page's piece, a form that can't be taken, one that can.
FORMS: list[tuple[str, tuple[str, ...], str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "own_settings",
        (),
        "viewer",
        "own-settings-form",
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "Asia/Tokyo", "language": "zh-hans"},
    ),
    ("own_password", (), "viewer", "own-password-form", {"password": "a", "again": "b"}, {}),
    ("account_list", (), "admin", "account-form", {"username": "no blanks"}, {"username": "zoe"}),
    ("guideline_list", ("slug",), "manager", "guideline-form", {"text": " "}, {"text": "New."}),
    ("flag_set", ("slug",), "manager", "flag-set-form", {"flags": "Rude"}, {"flags": "rude: Rude"}),
    ("flag_set", ("slug",), "owner", "flag-set-form", {"flags": "a: 1\na: 2"}, {"flags": ""}),
    (
        "snapshot_list",
        ("slug",),
        "manager",
        "freeze-form",
        {"kind": "nothing"},
        {"kind": "preferences", "note": "second"},
    ),
    ("import_list", ("slug",), "manager", "import-form", {}, {}),
    ("member_list", ("slug",), "owner", "member-list", {"username": "no-one-here"}, {}),
    ("project_settings", ("slug",), "manager", "project-form", {"name": ""}, {}),
    ("project_new", (), "admin", "project-form", {"name": "x", "slug": "not a slug"}, {}),
    (
        "export_list",
        ("slug", "snapshot"),
        "owner",
        "export-list",
        {"format": "stone", "container": "tablet"},
        {},
    ),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form[0])
def test_invalid_form_is_a_422_with_the_piece(form: Any, world: World) -> None:
    name, parts, actor, piece, invalid, _ = form
    client, url = world.client(actor), world.url(name, *parts)
    for headers in (PIECE, {}):
        response = client.post(url, invalid, headers=headers)
        assert response.status_code == 422
        assert f'id="{piece}"' in response.text
        assert ("<html" in response.text) is not bool(headers)
        assert "HX-Request" in response["Vary"]
        assert "errorlist" in response.text


@pytest.mark.parametrize("form", [f for f in FORMS if f[5]], ids=lambda form: form[0])
def test_taken_form_leads_on_by_htmx_and_plainly(form: Any, world: World) -> None:
    name, parts, actor, _, _, valid = form
    client, url = world.client(actor), world.url(name, *parts)
    assert client.post(url, valid).status_code == 302
    another = {"username": "ada"} if "username" in valid else {}
    by_htmx = client.post(url, valid | another, headers=PIECE)
    assert by_htmx.status_code == 204
    assert by_htmx["HX-Redirect"].startswith("/")


def test_login_leads_to_where_the_person_wanted_to_go(world: World) -> None:
    from tests.factories import PASSWORD

    client, url = world.client("anonymous"), world.url("login")
    credentials = {"username": world.actor("viewer").username, "password": PASSWORD}
    wanted = world.url("prompt_list", "slug")
    response = client.post(url, {**credentials, "next": wanted})
    assert (response.status_code, response["Location"]) == (302, wanted)
    client.post(world.url("logout"))
    elsewhere = client.post(url, {**credentials, "next": "https://elsewhere.example/"})
    assert elsewhere["Location"] == world.url("project_list")


def test_login_refuses_a_wrong_password_and_keeps_the_way(world: World) -> None:
    data = {"username": world.actor("viewer").username, "password": "no", "next": "/settings/"}
    response = world.client("anonymous").post(world.url("login"), data)
    assert response.status_code == 422
    assert 'name="next" value="/settings/"' in response.text


def test_own_settings_are_saved(world: World) -> None:
    data = {"time_zone": "Asia/Tokyo", "language": "zh-hans"}
    world.client("viewer").post(world.url("own_settings"), data)
    user = world.actor("viewer")
    user.refresh_from_db()
    assert (user.time_zone, user.language) == ("Asia/Tokyo", "zh-hans")


def test_new_project_refuses_a_taken_short_name(world: World) -> None:
    data = {
        "name": "Twin",
        "slug": world.project.slug,
        "candidates_per_comparison": 4,
        "overlap": 1,
        "lease_minutes": 30,
        "demonstrations_per_prompt": 0,
        "strength_scale": 0,
        "validation_share": 0.1,
        "test_share": 0.1,
        "gold_share": 0.1,
    }
    response = world.client("admin").post(world.url("project_new"), data)
    assert response.status_code == 422
    assert Project.objects.filter(name="Twin").count() == 0


def test_project_list_shows_own_projects_alone(world: World) -> None:
    for name in ("stranger", "annotator", "admin"):
        page = world.client(name).get(world.url("project_list")).text
        assert (world.project.name in page) is (name != "stranger")


def test_project_detail_shows_quality_to_its_readers_alone(world: World) -> None:
    url = world.url("project_detail", "slug")
    for name in ("annotator", "viewer", "manager", "owner"):
        page = world.client(name).get(url).text
        assert ("comparisons closed" in page) is (name != "annotator")
        assert ("Start ranking" in page) is (name != "viewer")


def test_nav_shows_the_links_that_the_reader_may_follow(world: World) -> None:
    url = world.url("project_detail", "slug")
    links = ("compare", "prompt_list", "import_list", "member_list", "audit_log")
    seen = {
        name: [link for link in links if f'href="{world.url(link, "slug")}"' in page]
        for name in ("annotator", "viewer", "manager", "owner")
        for page in [world.client(name).get(url).text.partition("<main")[0]]
    }
    assert seen == {
        "annotator": ["compare"],
        "viewer": ["prompt_list"],
        "manager": ["compare", "prompt_list", "import_list"],
        "owner": list(links),
    }


def test_member_changes_answer_with_the_list(world: World) -> None:
    owner = world.client("owner")
    added = owner.post(
        world.url("member_list", "slug"),
        {"username": world.actor("stranger").username, "role": "viewer"},
        headers=PIECE,
    )
    assert added.status_code == 200
    assert world.actor("stranger").username in added.text
    role_url = world.url("member_role", "slug", "member")
    owner.post(role_url, {"role": "manager"}, headers=PIECE)
    assert Membership.objects.get(pk=world.ids["member"]).role == "manager"
    assert owner.post(role_url, {"role": "king"}, headers=PIECE).status_code == 422
    gone = owner.post(world.url("member_remove", "slug", "member"), headers=PIECE)
    assert f"<td>{world.actor('viewer').username}" not in gone.text


def test_last_owner_stays(world: World) -> None:
    world.ids["owner"] = Membership.objects.get(user=world.actor("owner"), project=world.project).pk
    response = world.client("owner").post(world.url("member_remove", "slug", "owner"))
    assert response.status_code == 422
    assert Membership.objects.filter(pk=world.ids["owner"]).exists()


def test_guidelines_of_every_version_stay_readable(world: World) -> None:
    url = world.url("guideline_list", "slug")
    world.client("manager").post(url, {"text": "**Second** thoughts"})
    page = world.client("annotator").get(url).text
    assert "<strong>Second</strong>" in page
    assert "Rank the replies from best to worst" in page
    assert "guideline-form" not in page


def test_prompt_detail_shows_sources_to_managers_alone(world: World) -> None:
    url = world.url("prompt_detail", "slug", "prompt")
    for name in ("viewer", "manager", "owner"):
        page = world.client(name).get(url).text
        assert ("model-0" in page) is (name != "viewer")
        assert page.count("Reply 0 to:") == 1


def test_prompt_list_keeps_to_the_tag_and_state(world: World) -> None:
    client, url = world.client("viewer"), world.url("prompt_list", "slug")
    assert "5 prompts" in client.get(url).text
    assert "0 prompts" in client.get(url, {"state": "withdrawn"}).text
    assert "0 prompts" in client.get(url, {"tag": "poems"}).text


def test_import_asks_again_while_it_is_live_and_then_reports(world: World) -> None:
    """The file's one line, `{}`, is refused: the report names the line and the field."""
    client, url = world.client("manager"), world.url("import_detail", "slug", "batch")
    live = client.get(url, headers=PIECE).text
    assert 'id="import-status"' in live
    assert 'hx-trigger="every 1s"' in live
    run_import(batch_id=ImportBatch.objects.get(uid=world.ids["batch"]).pk)
    done = client.get(url, headers=PIECE).text
    assert "hx-trigger" not in done
    assert "1 line was refused, so nothing of the file was taken" in done
    assert '<td class="num">1</td><td class="hash">prompt</td>' in done


def test_upload_rings_for_the_import(world: World, django_capture_on_commit_callbacks: Any) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    file = SimpleUploadedFile("lines.jsonl", b'{"prompt": "Why?", "responses": []}\n')
    with django_capture_on_commit_callbacks() as rung:
        response = world.client("manager").post(world.url("import_list", "slug"), {"file": file})
    batch = ImportBatch.objects.get(file_name="lines.jsonl")
    assert str(batch.uid) in response["Location"]
    assert len(rung) == 1


def test_freeze_leads_to_the_snapshot(world: World) -> None:
    data = {"kind": "preferences", "note": "again", "annotator_kinds": ["person"]}
    response = world.client("manager").post(world.url("snapshot_list", "slug"), data)
    snapshot = Snapshot.objects.get(project=world.project, note="again")
    assert response["Location"].endswith(f"/snapshots/{snapshot.number}/")
    page = world.client("viewer").get(response["Location"]).text
    assert snapshot.sha256 in page
    assert "Exports" not in page


def test_freeze_of_nothing_is_refused_in_the_form(world: World) -> None:
    world.project.prompts.update(state="withdrawn")
    data = {"kind": "demonstrations"}
    response = world.client("manager").post(world.url("snapshot_list", "slug"), data)
    assert response.status_code == 422
    assert "There is no label to freeze yet" in response.text


def test_export_is_asked_for_followed_and_fetched(
    world: World, django_capture_on_commit_callbacks: Any
) -> None:
    client, url = world.client("owner"), world.url("export_list", "slug", "snapshot")
    with django_capture_on_commit_callbacks() as rung:
        posted = client.post(url, {"format": "kway", "container": "parquet"}, headers=PIECE)
    assert len(rung) == 1
    assert posted.text.strip().startswith('<section id="export-list"')
    rows = client.get(url, headers=PIECE).text
    assert rows.strip().startswith('<div id="export-rows"')
    assert 'hx-trigger="every 1s"' in rows
    file = client.get(world.url("export_download", "slug", "export"))
    assert b"".join(file) == b'{"row": 1}\n'
    assert 'filename="rows.jsonl"' in file["Content-Disposition"]


def test_log_shows_who_did_what(world: World) -> None:
    AuditEvent.objects.create(project=world.project, verb="made.up", object_type="thing")
    page = world.client("owner").get(world.url("audit_log", "slug")).text
    assert "made.up" in page
    assert "the system" in page
    assert "snapshot.freeze" in page


def test_pages_speak_no_inline_script_or_style(world: World) -> None:
    """The policy refuses both: a page that needs them would be broken."""
    owner = world.client("owner")
    for name in ("project_detail", "compare", "prompt_list", "snapshot_list", "member_list"):
        page = owner.get(world.url(name, "slug"))
        assert " style=" not in page.text
        assert "<style" not in page.text
        assert " onclick" not in page.text
        for tag in re.findall(r"<script\b[^>]*>", page.text):
            assert " src=" in tag or "application/json" in tag
        assert "script-src 'self'" in page["Content-Security-Policy"]


def test_unknown_address_is_answered_in_the_house_style(world: World) -> None:
    for name in ("anonymous", "viewer"):
        response = world.client(name).get("/nowhere/")
        assert response.status_code == 404
        assert "There is nothing here" in response.text
