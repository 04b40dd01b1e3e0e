"""Projects, members, guidelines and progress over the API."""

import pytest
from pytest_django import DjangoAssertNumQueries

from labeling.models import AuditEvent, Guideline, Membership
from labeling.services.projects import SETTINGS
from tests.factories import (
    make_admin,
    make_comparison,
    make_member,
    make_project,
    make_user,
    owner_of,
)
from tests.labeling.api.conftest import ClientFor

pytestmark = pytest.mark.django_db


def test_own_projects_by_name_with_roles(client_for: ClientFor) -> None:
    user = make_user()
    second, first = make_project(name="B"), make_project(name="A")
    make_project(name="C")
    make_member(second, "viewer", user)
    make_member(first, "manager", user)
    page = client_for(user).get("/api/v1/projects/").json()
    assert [(r["project"]["name"], r["role"]) for r in page["results"]] == [
        ("A", "manager"),
        ("B", "viewer"),
    ]


def test_an_admin_sees_every_project(client_for: ClientFor) -> None:
    slugs = {make_project().slug for _ in range(3)}
    page = client_for(make_admin()).get("/api/v1/projects/").json()
    assert {(r["project"]["slug"], r["role"]) for r in page["results"]} == {(s, "") for s in slugs}


def test_the_list_takes_no_more_queries_for_more_rows(
    client_for: ClientFor, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    user = make_user()
    for count in (1, 2, 3, 4):
        make_member(make_project(), "viewer", user)
        with django_assert_num_queries(1):
            assert client_for(user).get("/api/v1/projects/").json()["count"] == count


def test_a_project_shows_its_settings(client_for: ClientFor) -> None:
    project = make_project(overlap=3)
    answer = client_for(make_member(project)).get(f"/api/v1/projects/{project.slug}/").json()
    assert answer["role"] == "annotator"
    assert (answer["project"]["slug"], answer["project"]["overlap"]) == (project.slug, 3)


def test_an_admin_makes_a_project_and_owns_it(client_for: ClientFor) -> None:
    client = client_for(make_admin())
    body = {"slug": "fresh", "name": "Fresh", "candidates_per_comparison": 3}
    answer = client.post("/api/v1/projects/", body, format="json")
    assert answer.status_code == 201
    assert answer["Location"] == "/api/v1/projects/fresh/"
    said = answer.json()
    assert (said["role"], said["project"]["candidates_per_comparison"]) == ("owner", 3)
    assert client.get(answer["Location"]).json() == said
    again = client.post("/api/v1/projects/", body, format="json")
    assert (again.status_code, set(again.json()["errors"])) == (422, {"slug"})


def test_a_manager_changes_settings_and_nothing_else(client_for: ClientFor) -> None:
    project = make_project(overlap=2)
    client = client_for(make_member(project, "manager"))
    url = f"/api/v1/projects/{project.slug}/"
    said = client.patch(url, {"lease_minutes": 7}, format="json").json()
    assert (said["project"]["lease_minutes"], said["project"]["overlap"]) == (7, 2)
    for body in ({"overlap": 0}, {"candidates_per_comparison": 10}, {"slug": "other"}, {"x": 1}):
        answer = client.patch(url, body, format="json")
        assert (answer.status_code, set(answer.json()["errors"])) == (422, set(body))
    event = AuditEvent.objects.get(project=project, verb="project.update")
    assert event.data == {"before": {"lease_minutes": 30}}


def test_every_setting_is_shown_and_can_be_sent_back(client_for: ClientFor) -> None:
    """What the settings' page changes, a program may send back as it was read."""
    project = make_project()
    client = client_for(owner_of(project))
    url = f"/api/v1/projects/{project.slug}/"
    settings = {name: client.get(url).json()["project"][name] for name in SETTINGS}
    answer = client.patch(url, settings, format="json")
    assert answer.status_code == 200, answer.content
    assert {name: answer.json()["project"][name] for name in SETTINGS} == settings


def test_progress_shows_the_project_to_readers_alone(client_for: ClientFor) -> None:
    project = make_project()
    make_comparison(project, k=3)
    url = f"/api/v1/projects/{project.slug}/progress/"
    own = {
        "done_today": 0,
        "done_total": 0,
        "done_this_hour": 0,
        "median_s": None,
        "days_in_a_row": 0,
        "minutes_since_break": 0,
        "left_open": 1,
        "agreement": None,
    }
    assert client_for(make_member(project)).get(url).json() == {"own": own, "project": None}
    seen = client_for(make_member(project, "viewer")).get(url).json()["project"]
    assert (seen["prompts"], seen["candidates"], seen["comparisons"], seen["open"]) == (1, 3, 1, 1)


def test_guidelines_are_published_and_read_by_version(client_for: ClientFor) -> None:
    project = make_project()
    client = client_for(make_member(project, "manager"))
    url = f"/api/v1/projects/{project.slug}/guidelines/"
    made = client.post(url, data={"text": "*Be fair.*"}, format="json")
    assert (made.status_code, made.json()["version"]) == (201, 2)
    assert made.json()["html"] == '<p dir="auto"><em>Be fair.</em></p>\n'
    assert [row["version"] for row in client.get(url).json()["results"]] == [2, 1]
    assert client.get(f"{url}2/").json() == made.json()
    assert client.get(f"{url}3/").status_code == 404


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "a", "html": "<b>"}, []])
def test_a_guideline_without_text_is_refused(client_for: ClientFor, body: object) -> None:
    project = make_project()
    client = client_for(owner_of(project))
    url = f"/api/v1/projects/{project.slug}/guidelines/"
    answer = client.post(url, data=body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert Guideline.objects.filter(project=project).count() == 1


def test_members_are_set_listed_and_removed(client_for: ClientFor) -> None:
    project, user = make_project(), make_user("zoe")
    client = client_for(owner_of(project))
    url = f"/api/v1/projects/{project.slug}/members/"
    for role in ("annotator", "manager"):
        answer = client.post(url, data={"username": "zoe", "role": role}, format="json")
        assert (answer.status_code, answer.json()["role"]) == (200, role)
    listed = [(row["username"], row["role"]) for row in client.get(url).json()["results"]]
    assert listed == [(owner_of(project).username, "owner"), ("zoe", "manager")]
    assert client.delete(f"{url}zoe/").status_code == 204
    assert client.delete(f"{url}zoe/").status_code == 404
    assert not Membership.objects.filter(user=user).exists()


def test_the_last_owner_stays(client_for: ClientFor) -> None:
    project = make_project()
    owner = owner_of(project)
    url = f"/api/v1/projects/{project.slug}/members/{owner.username}/"
    assert client_for(owner).delete(url).status_code == 422
    assert owner_of(project) == owner


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "nobody", "role": "viewer"}, "username"),
        ({"username": "a\x00", "role": "viewer"}, "username"),
        ({"username": "nobody", "role": "king"}, "role"),
        ({"role": "viewer"}, "username"),
    ],
)
def test_a_member_that_can_not_be_is_told(
    client_for: ClientFor, body: dict[str, str], field: str
) -> None:
    project = make_project()
    client = client_for(owner_of(project))
    answer = client.post(f"/api/v1/projects/{project.slug}/members/", data=body, format="json")
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
