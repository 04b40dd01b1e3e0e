"""Quality over the API: figures with what they rest on, names for those who manage."""

import pytest

from labeling.models import Annotator, Project
from tests.factories import make_comparison, make_member, make_project
from tests.labeling.api.conftest import ClientFor
from tests.labeling.selectors.judging import judged

pytestmark = pytest.mark.django_db

ORDER = ((0,), (1,), (2,), (3,))


def judged_by_two(**settings: bool) -> tuple[Project, list[str]]:
    """Return a project in which two people judged two comparisons alike, and their names."""
    project = make_project(**settings)
    people = [make_member(project) for _ in range(2)]
    for comparison in [make_comparison(project) for _ in range(2)]:
        for person in people:
            judged(person, comparison, ORDER, active_ms=12_000)
    return project, sorted(person.username for person in people)


def test_quality_tells_shares_with_their_ground(
    client_for: ClientFor, django_assert_num_queries
) -> None:
    project, names = judged_by_two()
    client = client_for(make_member(project, "manager"))
    with django_assert_num_queries(7):
        told = client.get(f"/api/v1/projects/{project.slug}/quality/").json()
    share = told["agreement"]
    assert (share["value"], share["pairs"], share["comparisons"]) == (1, 12, 2)
    assert 0 < share["low"] < share["high"] == 1
    assert (told["alpha"], told["alpha_undefined"]) == (1, "")
    assert sorted(row["name"] for row in told["annotators"]) == names
    row = told["annotators"][0]
    assert (row["median_s"], row["tie_share"], row["gold"], row["skips"]) == (12, 0, None, 0)


def test_quality_tells_viewers_pseudonyms_and_why_a_figure_is_missing(
    client_for: ClientFor,
) -> None:
    project, _ = judged_by_two()
    url = "/api/v1/projects/{}/quality/"
    told = client_for(make_member(project, "viewer")).get(url.format(project.slug)).json()
    pseudonyms = Annotator.objects.filter(project=project).values_list("pseudonym", flat=True)
    assert {row["name"] for row in told["annotators"]} == set(pseudonyms)
    empty = make_project()
    told = client_for(make_member(empty, "viewer")).get(url.format(empty.slug)).json()
    assert (told["alpha"], told["alpha_undefined"]) == (None, "nothing_shared")
    assert (told["agreement"], told["since"], told["annotators"]) == (None, None, [])


def test_progress_tells_agreement_where_the_project_shows_it(client_for: ClientFor) -> None:
    for shows in (False, True):
        project, names = judged_by_two(shows_agreement=shows)
        person = project.annotators.get(user__username=names[0]).user
        own = client_for(person).get(f"/api/v1/projects/{project.slug}/progress/").json()["own"]
        assert (own["done_today"], own["median_s"], own["done_this_hour"]) == (2, 12, 2)
        assert (own["agreement"] is not None) is shows
    assert own["agreement"]["others"]["pairs"] == 12
    assert own["agreement"]["gold"] is None
