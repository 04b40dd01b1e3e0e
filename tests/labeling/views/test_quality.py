"""A person's own page and the page of quality: who sees which figure, and at what cost."""

import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from labeling.models import Annotator, Project, User
from labeling.selectors import progress
from labeling.services.gold import set_gold
from tests.factories import make_comparison, make_member, owner_of
from tests.labeling.selectors.judging import judged
from tests.labeling.views.conftest import World

ORDER = ((0,), (1,), (2,), (3,))


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    cache.clear()


def shared_work(project: Project, *people: User, count: int = 3) -> None:
    """Have all people judge the same comparisons alike, yesterday."""
    yesterday = timezone.now() - timedelta(days=1)
    for _ in range(count):
        comparison = make_comparison(project)
        for person in people:
            judged(person, comparison, ORDER, at=yesterday, active_ms=20_000)


def test_own_page_shows_the_work_and_the_way_back(world: World) -> None:
    page = world.client("annotator").get(world.url("own_work", "slug")).text
    assert "<dt>Today</dt><dd>1</dd>" in page
    assert "Question" in page
    assert f"{world.url('compare', 'slug')}?back=1" in page
    assert "?back=2" not in page
    assert "without a break" not in page


def test_own_page_hides_agreement_unless_the_project_shows_it(world: World) -> None:
    annotator = world.actor("annotator")
    shared_work(world.project, annotator, make_member(world.project))
    client, url = world.client("annotator"), world.url("own_work", "slug")
    assert "Agreement" not in client.get(url).text
    Project.objects.update(shows_agreement=True)
    page = client.get(url).text
    assert "On 18 pairs of replies, in 3 comparisons" in page
    assert "at least 10 pairs had a known answer" in page


def test_own_page_shows_no_agreement_on_few_pairs(world: World) -> None:
    Project.objects.update(shows_agreement=True)
    shared_work(world.project, world.actor("annotator"), make_member(world.project), count=1)
    page = world.client("annotator").get(world.url("own_work", "slug")).text
    assert "at least 10 pairs were judged by others too" in page


def test_own_page_says_of_no_card_that_it_is_gold(world: World) -> None:
    """Neither the list nor a figure of today tells."""
    Project.objects.update(shows_agreement=True)
    person, url = world.actor("annotator"), world.url("own_work", "slug")
    made = [make_comparison(world.project) for _ in range(4)]
    before = world.client("annotator").get(url).text
    for comparison in made:
        judged(person, comparison, ORDER)
    ordinary = world.client("annotator").get(url).text
    for comparison in made:
        set_gold(actor=owner_of(world.project), comparison=comparison, tiers=ORDER)
    cache.clear()
    mixed = world.client("annotator").get(url).text
    assert ">gold<" not in mixed
    assert before.count("had a known answer") == mixed.count("had a known answer") == 1
    assert _without_queue(mixed) == _without_queue(ordinary)


def _without_queue(page: str) -> str:
    """Leave out the queue's size, which falls with each gold item for everybody, and tokens."""
    before, after = page.split("Open in the queue")
    return re.sub(r"[A-Za-z0-9]{64}", "", before + after.split("</dd>", 1)[1])


def test_own_page_suggests_a_break(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    note = progress.PaceNote(done_today=9, left_open=5, minutes_since_break=64)
    monkeypatch.setattr("labeling.views.quality.pace_note", lambda user, project: note)
    page = world.client("annotator").get(world.url("own_work", "slug")).text
    assert "You have worked for 64 minutes without a break." in page


@pytest.mark.parametrize(("name", "queries"), [("own_work", 13), ("quality", 10)])
def test_pages_take_the_same_queries_for_little_and_for_much(
    name: str, queries: int, world: World, django_assert_num_queries
) -> None:
    """Session, account, project and the role, each time it is asked; then what the page reads."""
    Project.objects.update(shows_agreement=True)
    client, owner, url = world.client("owner"), world.actor("owner"), world.url(name, "slug")
    for _ in range(2):
        shared_work(world.project, owner, *(make_member(world.project) for _ in range(2)))
        cache.clear()
        with django_assert_num_queries(queries):
            assert client.get(url).status_code == 200


def test_quality_names_people_to_managers_and_pseudonyms_to_viewers(world: World) -> None:
    annotator = Annotator.objects.get(user=world.actor("annotator"))
    url = world.url("quality", "slug")
    managers, viewers = (world.client(name).get(url).text for name in ("manager", "viewer"))
    assert f"<td>{world.actor('annotator').username}" in managers
    assert annotator.pseudonym not in managers
    assert f"<td>{annotator.pseudonym}" in viewers
    assert f"<td>{world.actor('annotator').username}" not in viewers


def test_quality_explains_what_it_can_not_tell(world: World) -> None:
    page = world.client("viewer").get(world.url("quality", "slug")).text
    assert "at least 10 pairs were judged by two people" in page
    assert "Undefined." in page
    assert "No pair was judged by two people yet." in page


def test_quality_draws_agreement_and_whoever_leans(world: World) -> None:
    """Both always rank first what stands first: 20 comparisons are enough to say so."""
    people = [make_member(world.project) for _ in range(2)]
    shared_work(world.project, *people, count=20)
    page = world.client("manager").get(world.url("quality", "slug")).text
    assert "Rests on 120 pairs in 20 comparisons" in page
    assert page.count("leans</span>") == 2
    assert '<b class="figure num">1.00</b>' in page
    assert page.count('class="reach"') == 5  # the whole, two of agreement, two of first shown
