"""A round's page and API tell which arm asked what; the loop's form offers the strategies."""

from typing import Any

import pytest
from django.urls import reverse

from labeling.models import Project
from tests.factories import make_comparison, owner_of
from tests.training.rounds.turning import begin, make_loop
from training.rounds.models import Round, RoundComparison

pytestmark = pytest.mark.django_db
ARMS = ("random", "thompson", "thompson")


def _asked(**changes: Any) -> tuple[Project, Round]:
    """Return a round that has asked three comparisons, of which chance chose one."""
    project = make_loop(**changes)
    round = begin(project)
    for arm in ARMS:
        comparison = make_comparison(project)
        RoundComparison.objects.create(round=round, comparison=comparison, arm=arm)
    return project, round


def test_the_page_and_the_api_tell_the_arms(client):
    project, round = _asked(pool_factor=3, strategy="thompson")
    client.force_login(owner_of(project))
    page = client.get(reverse("training:round_detail", args=[project.slug, round.number]))
    text = page.content.decode()
    assert "What was asked first" in text
    assert "Of 3 replies for every one asked about" in text
    assert "double Thompson" in text
    assert "0 of 2 comparisons judged" in text
    url = f"/api/v1/projects/{project.slug}/rounds/{round.number}/"
    assert client.get(url).json()["arms"] == [
        {"name": "random", "comparisons": 1, "closed": 0},
        {"name": "thompson", "comparisons": 2, "closed": 0},
    ]


def test_a_round_that_asks_about_everything_tells_no_arms(client):
    project, round = _asked()
    client.force_login(owner_of(project))
    page = client.get(reverse("training:round_detail", args=[project.slug, round.number]))
    assert "What was asked first" not in page.content.decode()


def test_the_form_offers_the_strategies_and_says_what_is_missing(client):
    project = make_loop()
    client.force_login(owner_of(project))
    url = reverse("training:loop_edit", args=[project.slug])
    page = client.get(url)
    fields = page.context["form"]
    assert {"pool_factor", "strategy", "control_share", "comparisons_per_prompt"} <= set(
        fields.fields
    )
    given = {spec: fields[spec].value() for spec in fields.fields}
    sent = {
        name: value for name, value in given.items() if value is not None and value is not False
    }
    refused = client.post(url, {**sent, "strategy": "margin", "pool_factor": "1"})
    assert refused.status_code == 422
    assert list(refused.context["form"].errors) == ["pool_factor"]
    taken = client.post(url, {**sent, "strategy": "margin", "pool_factor": "4"})
    assert taken.status_code == 302
    project.loop.refresh_from_db()
    assert (project.loop.config["strategy"], project.loop.config["pool_factor"]) == ("margin", 4)
