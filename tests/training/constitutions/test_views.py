"""The pages of constitutions and of revisions, asked by each of seven, and what they show."""

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from labeling.models import Project
from tests.factories import ACTORS, make_member, make_project, make_prompt, owner_of, seven_actors
from tests.training.constitutions.written import (
    TEXT,
    chain_of,
    leave,
    make_constitution,
    make_revising_run,
    take_some,
)
from tests.training.factories import make_model, make_run
from tests.training.views.asking import client_of, page
from tests.training.views.test_runs import HTMX, OWNS, READS, bell  # noqa: F401
from training.constitutions.models import Constitution, ConstitutionVersion
from training.constitutions.services import take_revisions
from training.models import TrainingRun

pytestmark = pytest.mark.django_db
# Viewers read; managers, owners and admins write.
WRITES = (302, 404, 403, 403, 302, 302, 302)
ACTS = (302, 404, 403, 403, 403, 302, 302)


def _asked(project: Project, url: str, **posted: str) -> tuple[int, ...]:
    found = []
    for user in seven_actors(project).values():
        client = client_of(user)
        answer = client.post(url, posted) if posted else client.get(url)
        found.append(answer.status_code)
    return tuple(found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constitution_list", READS),
        ("constitution_detail", READS),
        ("revising_new", OWNS),
        ("run_chains", READS),
    ],
)
def test_pages_answer_each_of_the_seven(name, expected):
    project = make_project()
    run = take_some(make_revising_run(project))
    args: Any = {
        "constitution_list": [],
        "constitution_detail": [run.revising.constitution.constitution_id],
        "revising_new": [run.base_model_id],
        "run_chains": [run.uid],
    }[name]
    found = _asked(project, page(name, project, *args))
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


def test_publishing_is_a_managers():
    project = make_project()
    url = page("constitution_list", project)
    found = []
    for number, user in enumerate(seven_actors(project).values()):
        posted = {"name": f"number {number}", "text": TEXT}
        found.append(client_of(user).post(url, posted).status_code)
    assert tuple(found) == WRITES
    detail = page("constitution_detail", project, Constitution.objects.first().pk)
    found = []
    for number, user in enumerate(seven_actors(project).values()):
        posted = {"text": TEXT.replace("What hurts?", f"What hurts {number}?")}
        found.append(client_of(user).post(detail, posted).status_code)
    assert tuple(found) == WRITES


def _filled(form: Any) -> dict[str, Any]:
    """Return what a browser would send of the form as it is."""
    given = {field.html_name: field.value() for field in form}
    return {
        name: value for name, value in given.items() if value is not None and value is not False
    }


def test_revising_is_an_owners(
    bell: list[int],  # noqa: F811
    django_capture_on_commit_callbacks: Any,
):
    project = make_project()
    make_prompt(project)
    url = page("revising_new", project, make_model(project).pk)
    sent = _filled(client_of(owner_of(project)).get(url).context["form"])
    with django_capture_on_commit_callbacks(execute=True):
        assert _asked(project, url, **sent) == ACTS
    runs = TrainingRun.objects.filter(recipe="revise").order_by("pk")
    assert bell == [run.pk for run in runs]
    assert len(runs) == 2
    assert str(runs[0].revising.constitution) == "default v1"


def test_a_fault_in_the_form_is_told_and_nothing_is_made():
    project = make_project()
    client = client_of(owner_of(project))
    url = page("revising_new", project, make_model(project).pk)
    sent = _filled(client.get(url).context["form"])
    refused = client.post(url, {**sent, "rounds": 0}, headers=HTMX)
    assert refused.status_code == 422
    assert set(refused.context["form"].errors) == {"rounds"}
    assert refused.text.strip().startswith('<div id="revising-form"')
    assert client.post(url, sent).status_code == 422  # the project has no prompt
    assert not TrainingRun.objects.exists()
    assert not Constitution.objects.exists()


def test_a_new_version_is_published_and_the_old_one_stays_to_be_read():
    project = make_project()
    client = client_of(make_member(project, "manager"))
    listed = page("constitution_list", project)
    assert 'value="default"' in client.get(listed).text
    made = client.post(listed, {"name": "ours", "text": TEXT.replace("\n", "\r\n")}, headers=HTMX)
    detail = page("constitution_detail", project, Constitution.objects.get().pk)
    assert made["HX-Redirect"] == detail
    again = client.post(detail, {"text": TEXT})
    assert (again.status_code, ConstitutionVersion.objects.count()) == (422, 1)
    assert "Version 1 says exactly this" in again.text
    faulty = client.post(detail, {"text": TEXT.replace("critique: What hurts?", "")}, headers=HTMX)
    assert faulty.status_code == 422
    assert faulty.text.strip().startswith('<form id="constitution-form"')
    assert "Line 2" in faulty.text
    client.post(detail, {"text": TEXT.replace("What hurts?", "<i>What</i> wounds?")})
    shown = client.get(detail).text
    assert "&lt;i&gt;What&lt;/i&gt; wounds?" in shown
    assert "What hurts?" in shown
    assert "Version 2" in shown
    assert "Version 1" in shown


def test_a_viewer_is_offered_no_form():
    project = make_project()
    version = make_constitution(project)
    viewer = client_of(make_member(project, "viewer"))
    for url in (
        page("constitution_list", project),
        page("constitution_detail", project, version.constitution_id),
    ):
        assert "constitution-form" not in viewer.get(url).text


def test_chains_are_read_with_hostile_text_made_harmless():
    project = make_project()
    run = make_revising_run(project, prompts=1)
    (prompt,) = run.revising.prompt_ids
    hostile = "<script>alert(1)</script> **kind**"
    leave(run, [chain_of(prompt, "better", hostile)])
    take_revisions(run=run)
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded")
    client = client_of(owner_of(project))
    shown = client.get(page("run_chains", project, run.uid)).text
    for words in ("First reply", "What hurts?", "Write it kindly.", "critique 1", "better"):
        assert words in shown
    assert "<script>alert" not in shown
    assert "critique 0 &lt;script&gt;" in shown
    assert "<strong>kind</strong>" in shown
    assert " style=" not in shown
    status = client.get(page("run_detail", project, run.uid)).text
    assert "1 demonstration, marked as AI" in status
    assert page("run_chains", project, run.uid) in status
    for name, args in (("run_list", []), ("model_detail", [run.base_model_id])):
        assert "1 demonstration" in client.get(page(name, project, *args)).text
    asked = client.get(f"/projects/{project.slug}/prompts/{prompt}/").text
    assert "by AI" in asked
    assert page("run_chains", project, run.uid) not in asked


def test_another_projects_things_are_not_found():
    project, other = make_project(), make_project()
    client = client_of(owner_of(project))
    run = make_revising_run(other)
    strange = [
        page("run_chains", project, run.uid),
        page("constitution_detail", project, run.revising.constitution.constitution_id),
        page("revising_new", project, run.base_model_id),
        page("run_chains", project, make_run(project).uid),
    ]
    assert [client.get(url).status_code for url in strange] == [404] * 4


def test_lists_cost_no_more_when_they_are_long(
    django_assert_max_num_queries: DjangoAssertNumQueries,
):
    project = make_project()
    run = take_some(make_revising_run(project, prompts=12))
    for number in range(8):
        make_constitution(project, f"number {number}")
    client = client_of(owner_of(project))
    for name, args, most in (("constitution_list", [], 14), ("run_chains", [run.uid], 18)):
        with django_assert_max_num_queries(most):
            shown = client.get(page(name, project, *args))
        assert shown.status_code == 200
    assert len(shown.context["chains"]) == 10
