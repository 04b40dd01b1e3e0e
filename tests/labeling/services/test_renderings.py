"""Stored HTML follows the renderer, in batches, beside people at work."""

import threading
from io import StringIO

import pytest
from django.apps import apps
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, transaction
from pytest_django import DjangoAssertNumQueries

from labeling import tasks
from labeling.domain.rendering import RENDERER_VERSION
from labeling.models import Candidate, Guideline, Project, Prompt
from labeling.services.projects import publish_guideline
from labeling.services.renderings import RENDERED, count_stale, render_batch, render_stale
from tests.factories import make_project, make_prompts, owner_of


@pytest.fixture
def project(db: None) -> Project:
    """Return a project with three prompts and twelve candidates of an older renderer."""
    project = make_project()
    make_prompts(project, 3)
    publish_guideline(actor=owner_of(project), project=project, text="Be *fair*.")
    return outdated(project)


def outdated(project: Project) -> Project:
    """Let everything in a project look as an older renderer left it."""
    old = {"renderer_version": "markdown-1"}
    Prompt.objects.filter(project=project).update(html=["<b>old</b>"], **old)
    Candidate.objects.filter(prompt__project=project).update(html="<b>old</b>", **old)
    Guideline.objects.filter(project=project).update(html="<b>old</b>", **old)
    return project


def test_every_model_that_keeps_html_is_rendered_again() -> None:
    models = apps.get_app_config("labeling").get_models()
    keeping = {m for m in models if any(f.name == "renderer_version" for f in m._meta.fields)}
    assert keeping == set(RENDERED)


def test_render_stale_renders_everything_and_changes_nothing_else(project: Project) -> None:
    hashes = list(Candidate.objects.values_list("pk", "content_hash", "messages"))
    stale = sum(count_stale(model) for model in RENDERED)
    assert stale == 15 + project.guidelines.count()
    assert render_stale() == stale
    assert [count_stale(model) for model in RENDERED] == [0, 0, 0]
    assert project.guidelines.get(text="Be *fair*.").html == (
        '<p dir="auto">Be <em>fair</em>.</p>\n'
    )
    prompt = Prompt.objects.filter(project=project)[0]
    assert prompt.html[0].startswith('<p dir="auto">Question')
    assert prompt.renderer_version == RENDERER_VERSION
    assert list(Candidate.objects.values_list("pk", "content_hash", "messages")) == hashes


def test_render_stale_keeps_to_its_budget_and_goes_on_later(project: Project) -> None:
    assert render_stale(budget=10) == 10
    assert sum(count_stale(model) for model in RENDERED) == 5 + project.guidelines.count()
    assert render_stale() == 5 + project.guidelines.count()
    assert render_stale() == 0


def test_render_batch_asks_twice_whatever_it_holds(
    project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(4):  # a savepoint, the rows, one update, the savepoint again
        assert len(render_batch(Candidate)) == 12


def test_the_command_tells_how_far_it_is(project: Project) -> None:
    out = StringIO()
    call_command("render_again", "--batch", "5", stdout=out)
    assert "candidates: 5 of 12\ncandidates: 10 of 12\ncandidates: 12 of 12" in out.getvalue()
    assert f"candidates: 12 brought to {RENDERER_VERSION}, 0 left" in out.getvalue()


def test_the_beat_rings_until_all_is_done_and_then_rests(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.clear()
    rung: list[int] = []
    monkeypatch.setattr(tasks, "RENDER_BUDGET", 10)
    monkeypatch.setattr(tasks.render_stale, "delay", lambda: rung.append(1))
    tasks.render_stale()
    assert rung == [1]
    tasks.render_stale()
    assert rung == [1]
    outdated(project)
    tasks.render_stale()  # known to be done: nothing is looked for
    assert count_stale(Candidate) == 12
    cache.clear()


@pytest.mark.django_db(transaction=True)
def test_a_row_that_someone_holds_is_left_for_later_and_nobody_waits() -> None:
    project = make_project()
    make_prompts(project, 1)
    outdated(project)
    first = Candidate.objects.order_by("pk")[0]
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Candidate.objects.select_for_update().get(pk=first.pk)
            held.set()
            done.wait(20)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(20)
    assert first.pk not in render_batch(Candidate)
    done.set()
    holder.join()
    assert render_batch(Candidate) == [first.pk]
