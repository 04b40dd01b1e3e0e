"""Quality: agreement on shared comparisons, gold, first-shown wins; worked by hand."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from labeling.domain.agreement import Undefined
from labeling.models import Annotator, Assignment, Comparison, Judgement, Project, Role, User
from labeling.selectors import quality
from labeling.selectors.quality import AnnotatorQuality, own_agreement, project_quality
from labeling.services.assignments import claim_next, skip_assignment
from labeling.services.gold import set_gold, withdraw_gold
from tests.factories import make_comparison, make_member, make_project, make_user, owner_of
from tests.labeling.selectors.judging import judged

pytestmark = pytest.mark.django_db

ORDER = ((0,), (1,), (2,), (3,))
SWAPPED = ((1,), (0,), (2,), (3,))  # agrees with ORDER on 5 of 6 pairs
TIED = ((0, 1), (2,), (3,))  # agrees with each of the two on 5 of 6


@pytest.fixture
def project() -> Project:
    """Return a project of K = 4."""
    return make_project()


def comparisons(project: Project, count: int, k: int = 4) -> list[Comparison]:
    """Return new comparisons."""
    return [make_comparison(project, k=k) for _ in range(count)]


def of(project: Project, person: User) -> AnnotatorQuality:
    """Return a person's row of the quality page."""
    rows = project_quality(project, names=True).annotators
    return next(row for row in rows if row.name == person.username)


def people(project: Project, count: int) -> Iterator[User]:
    """Yield new annotators."""
    return (make_member(project) for _ in range(count))


def test_own_agreement_counts_pairs_of_comparisons_judged_by_both(project: Project) -> None:
    """5 of 6 with the second person and 6 of 6 with the third, on one comparison; then 5 of 6."""
    first, second, third = people(project, 3)
    shared, other, alone = comparisons(project, 3)
    for person, tiers in ((first, ORDER), (second, SWAPPED), (third, ORDER)):
        judged(person, shared, tiers)
    judged(first, other, TIED)
    judged(second, other, ORDER)
    judged(first, alone, ORDER)
    share = own_agreement(first, project).others
    assert share is not None
    assert (share.value, share.pairs, share.clusters) == pytest.approx((16 / 18, 18, 2))


def test_own_agreement_shows_nothing_under_ten_pairs(project: Project) -> None:
    """Six pairs are too few, twelve are not."""
    first, second = people(project, 2)
    for number, comparison in enumerate(comparisons(project, 2)):
        judged(first, comparison, ORDER)
        judged(second, comparison, ORDER)
        share = own_agreement(first, project).others
        assert (share is None) is (number == 0)


def test_own_agreement_reads_what_holds_and_ranks(project: Project) -> None:
    """A superseded ranking, one that is none, and an AI judge's are left out."""
    first, second = people(project, 2)
    judge = make_user()
    Annotator.objects.create(project=project, user=judge, kind=Annotator.Kind.AI, name="judge")
    for comparison in comparisons(project, 2):
        judged(first, comparison, ORDER)
        old = judged(second, comparison, ORDER)
        judged(second, comparison, SWAPPED, supersedes=old)
        judged(judge, comparison, ORDER)
    bad = make_comparison(project)
    judged(first, bad, ORDER)
    judged(second, bad, (), verdict=Judgement.Verdict.BOTH_BAD)
    share = own_agreement(first, project).others
    assert share is not None
    assert (share.value, share.pairs) == pytest.approx((10 / 12, 12))


def test_own_agreement_leaves_a_written_reply_out(project: Project) -> None:
    """Slot 4 is each person's own reply: 6 pairs of candidates that both saw, all alike."""
    first, second = people(project, 2)
    for comparison in comparisons(project, 2):
        judged(first, comparison, ((4,), *ORDER))
        judged(second, comparison, (*ORDER, (4,)))
    share = own_agreement(first, project).others
    assert share is not None
    assert (share.value, share.pairs) == (1, 12)


def _gold(project: Project, tiers: Any = ORDER, **fields: Any) -> Comparison:
    comparison = make_comparison(project)
    set_gold(actor=owner_of(project), comparison=comparison, tiers=tiers, **fields)
    return comparison


def test_own_gold_is_told_from_yesterday_on(project: Project) -> None:
    """A figure that moved with today's cards would say which of them were gold."""
    (person,) = people(project, 1)
    yesterday = timezone.now() - timedelta(days=1)
    judged(person, _gold(project), ORDER, at=yesterday)
    judged(person, _gold(project), SWAPPED, at=yesterday)
    judged(person, _gold(project), SWAPPED)
    share = own_agreement(person, project).gold
    assert share is not None
    assert (share.value, share.pairs) == pytest.approx((11 / 12, 12))


def test_own_gold_is_not_what_oneself_said(project: Project) -> None:
    (person,) = people(project, 1)
    yesterday = timezone.now() - timedelta(days=1)
    for _ in range(2):
        comparison = make_comparison(project)
        source = judged(person, comparison, ORDER, at=yesterday)
        set_gold(actor=owner_of(project), comparison=comparison, tiers=ORDER, source=source)
    withdrawn = _gold(project)
    judged(person, withdrawn, ORDER, at=yesterday)
    withdraw_gold(actor=owner_of(project), comparison=withdrawn)
    assert own_agreement(person, project).gold is None
    assert of(project, person).gold is None


def test_own_agreement_takes_two_reads_whatever_the_number(
    project: Project, django_assert_num_queries
) -> None:
    first, second = people(project, 2)
    for comparison in comparisons(project, 5):
        judged(first, comparison, ORDER)
        judged(second, comparison, ORDER)
    with django_assert_num_queries(2):
        own_agreement(first, project)


def test_project_quality_of_the_whole(project: Project, django_assert_num_queries) -> None:
    """Three people on one comparison: 5, 5 and 6 of 6; two on another: 6 of 6."""
    found = list(people(project, 3))
    shared, other = comparisons(project, 2)
    for person, tiers in zip(found, (ORDER, SWAPPED, ORDER), strict=True):
        judged(person, shared, tiers)
    for person in found[:2]:
        judged(person, other, ORDER)
    with django_assert_num_queries(4):
        told = project_quality(project, names=True)
    assert told.agreement is not None
    assert (told.agreement.value, told.agreement.pairs) == pytest.approx((22 / 24, 24))
    assert isinstance(told.alpha, float)
    assert (told.judgements, told.is_all, len(told.annotators)) == (5, True, 3)
    assert {row.agreement.pairs for row in told.annotators if row.agreement} == {18, 12}


def test_project_quality_of_nothing_says_why_there_is_no_alpha(project: Project) -> None:
    told = project_quality(project, names=True)
    assert (told.agreement, told.alpha, told.annotators) == (None, Undefined.NOTHING_SHARED, [])
    assert told.since is None


def test_annotator_quality_counts_work_ties_and_skips(project: Project) -> None:
    """One of 12 pairs is tied; 4, 6 and 20 seconds have the median 6; "all bad" is work too."""
    (person,) = people(project, 1)
    first, second, third, _ = comparisons(project, 4)
    judged(person, first, ORDER, active_ms=4000)
    judged(person, second, TIED, active_ms=6000)
    judged(person, third, (), active_ms=20_000, verdict=Judgement.Verdict.BOTH_BAD)
    card = claim_next(actor=person, project=project)
    assert card is not None
    skip_assignment(actor=person, assignment_uid=card.assignment_uid, reason="off topic")
    row = of(project, person)
    assert (row.judgements, row.median_s, row.skips) == (3, 6, 1)
    assert row.tie_share == pytest.approx(1 / 12)
    assert (row.kind, row.kind_label) == ("person", "person")


def test_annotator_quality_lists_whoever_only_skips(project: Project) -> None:
    (person,) = people(project, 1)
    make_comparison(project)
    card = claim_next(actor=person, project=project)
    assert card is not None
    skip_assignment(actor=person, assignment_uid=card.assignment_uid, reason="off topic")
    row = of(project, person)
    assert (row.judgements, row.skips, row.median_s) == (0, 1, None)
    Assignment.objects.update(ended_at=timezone.now() - timedelta(days=40))
    assert project_quality(project, names=True).annotators == []


def test_annotator_quality_holds_gold_with_tau(project: Project) -> None:
    """11 of 12 pairs; tau-b is 1 on one and (5 - 1) / 6 on the other."""
    (person,) = people(project, 1)
    judged(person, _gold(project), ORDER)
    judged(person, _gold(project), SWAPPED)
    row = of(project, person)
    assert row.gold is not None
    assert (row.gold.value, row.gold.pairs) == pytest.approx((11 / 12, 12))
    assert row.gold_tau_b == pytest.approx((1 + 4 / 6) / 2)


def test_first_shown_is_held_against_chance(project: Project) -> None:
    """Whoever always prefers what stands first: 20 of 20 where one in four is expected.

    Where the best is tied, or is the written reply, it is no win of a place.
    """
    (person, fair) = people(project, 2)
    for number, comparison in enumerate(comparisons(project, 20)):
        judged(person, comparison, ORDER, shown_order=[0, 3, 1, 2])
        order = [0, 1, 2, 3][number % 4 :] + [0, 1, 2, 3][: number % 4]
        judged(fair, comparison, ORDER, shown_order=order)
    judged(person, make_comparison(project), TIED)
    judged(person, make_comparison(project), ((4,), *ORDER))
    leaning, even = of(project, person).first_shown, of(project, fair).first_shown
    assert leaning is not None
    assert even is not None
    assert (leaning.share.value, leaning.share.pairs, leaning.chance) == (1, 20, 0.25)
    assert leaning.leans
    assert (even.share.value, even.leans) == (0.25, False)


def test_project_quality_names_people_only_where_asked(project: Project) -> None:
    person = make_member(project, Role.ANNOTATOR)
    judged(person, make_comparison(project), ORDER)
    annotator = Annotator.objects.get(user=person)
    assert project_quality(project, names=True).annotators[0].name == person.username
    assert project_quality(project, names=False).annotators[0].name == annotator.pseudonym


def test_project_quality_reads_the_newest_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "RECENT", 2)
    (person,) = people(project, 1)
    made = [judged(person, comparison, ORDER) for comparison in comparisons(project, 3)]
    told = project_quality(project, names=True)
    assert (told.judgements, told.is_all, told.since) == (2, False, made[1].created_at)
