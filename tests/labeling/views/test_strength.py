"""The page of models compared: whom it asks, what it draws, what it says of nothing."""

import pytest

from labeling.models import Annotator
from tests.factories import make_comparison
from tests.labeling.selectors.judging import judged
from tests.labeling.selectors.test_strength import tiers_of
from tests.labeling.views.conftest import World

pytestmark = pytest.mark.django_db


def test_page_draws_each_model_with_its_interval(world: World) -> None:
    for _ in range(3):
        comparison = make_comparison(world.project, k=4)
        judged(world.actor("annotator"), comparison, tiers_of(comparison))
    page = world.client("viewer").get(world.url("strength", "slug")).text
    places = [page.index(f"<td>model-{number}</td>") for number in range(4)]
    assert places == sorted(places)
    assert page.count("95 % interval") == 8
    assert "Bradley-Terry" in page


def test_page_shows_ai_judges_alone_where_asked(world: World) -> None:
    comparison = make_comparison(world.project, k=4)
    judgement = judged(world.actor("owner"), comparison, tiers_of(comparison))
    Annotator.objects.filter(pk=judgement.annotator_id).update(kind=Annotator.Kind.AI)
    client, url = world.client("viewer"), world.url("strength", "slug")
    assert "<td>model-0</td>" in client.get(f"{url}?judges=ai").text
    assert '<option value="ai" selected>' in client.get(f"{url}?judges=ai").text
    assert '<option value="people" selected>' in client.get(f"{url}?judges=nobody").text


def test_page_says_when_nothing_was_compared(world: World) -> None:
    url = world.url("strength", "slug")
    page = world.client("viewer").get(f"{url}?judges=ai").text
    assert "No two models were compared" in page
