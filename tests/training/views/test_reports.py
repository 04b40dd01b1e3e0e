"""The report of a reward run on its page."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_project, owner_of
from tests.training.factories import make_run
from training.models import TrainingRun
from training.recipes.reward_report import Scored, report_of
from training.views.reports import held_out_of

ROWS = [
    Scored(scores=[3.0, 2.0, 1.0], ranks=[0, 1, 2], lengths=[9, 5, 5], annotator="ann"),
    Scored(scores=[1.0, 2.0], ranks=[0, 1], lengths=[5, 9], annotator="bob"),
]


def test_every_kind_of_pair_stands_in_a_table_with_its_interval() -> None:
    (held,) = held_out_of({"report": {"test": report_of(ROWS)}})
    assert (held.split, held.comparisons, held.whole.pairs) == ("test", 2, 4)
    found = {title: [(k.name, k.pairs) for k in kinds] for title, kinds in held.tables}
    assert found == {
        "Tiers between the two": [("1", 3), ("2", 1)],
        "Length": [
            ("alike in length", 1),
            ("the better reply is longer", 2),
            ("the better reply is shorter", 1),
        ],
        "Annotator": [("ann", 3), ("bob", 1)],
    }
    assert held.whole.right is not None
    assert held.whole.right.percent == 75
    assert held.whole.right.low_percent < 75 < held.whole.right.high_percent
    assert held.reliability is not None


def test_a_result_without_a_report_tells_nothing() -> None:
    assert held_out_of({}) == []
    assert held_out_of({"report": {}}) == []


@pytest.mark.django_db
def test_run_page_shows_the_report_of_both_splits() -> None:
    project = make_project()
    run = make_run(project, recipe="reward")
    ensemble = {"ensemble": {"members": 3, "disputed": 0.12}}
    test = (report_of(ROWS[:1]) or {}) | ensemble
    result = {"report": {"validation": report_of(ROWS), "test": test}}
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded", result=result)
    client = Client()
    client.force_login(owner_of(project))
    html = client.get(reverse("training:run_detail", args=[project.slug, run.uid])).content.decode()
    assert 'id="held-out-validation"' in html
    assert 'id="held-out-test"' in html
    assert "The share of 4 pairs in 2 comparisons" in html
    assert "The share of 3 pairs in 1 comparison " in html
    assert html.count("Calibration error") == 2
    assert html.count("Pairs its members dispute") == 1
    assert ">12 %</dd>" in html
    assert 'aria-label="95 % interval: ' in html
    assert "How often it is right, by how sure it is" in html
    assert "None" not in html
