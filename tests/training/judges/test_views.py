"""The pages of AI judges: asked by each of seven, and walked from nothing to a judged queue."""

from html.parser import HTMLParser

import pytest
from django.test import Client

from labeling.models import Candidate, Comparison, Judgement
from tests.factories import ACTORS, make_member, owner_of, seven_actors
from tests.training.factories import HEAD, make_model, use_recipe
from tests.training.judges.factories import JUDGES, make_demo_project, make_judge
from tests.training.views.asking import client_of, page
from tests.training.views.test_runs import bell as bell
from training import tasks
from training.judges.models import Judge
from training.judges.services import ask_judge
from training.models import TrainingRun

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
READS = (302, 404, 403, 200, 200, 200, 200)
# An empty form is invalid: whoever may make or ask a judge is told so.
OWNS = (302, 404, 403, 403, 403, 422, 422)


@pytest.mark.parametrize(
    ("name", "method", "expected"),
    [
        ("judge_list", "get", READS),
        ("judge_detail", "get", READS),
        ("judge_new", "get", (302, 404, 403, 403, 403, 200, 200)),
        ("judge_new", "post", OWNS),
        ("judge_ask", "post", OWNS),
        ("judge_retire", "post", (302, 404, 403, 403, 403, 302, 302)),
    ],
)
def test_pages_answer_each_of_the_seven(name, method, expected):
    project = make_demo_project(1)
    judge = make_judge(project, source="gold")
    url = page(name, project, *([] if name in {"judge_list", "judge_new"} else [judge.uid]))
    found = []
    for user in seven_actors(project).values():
        Judge.objects.update(is_archived=False)
        found.append(getattr(client_of(user), method)(url).status_code)
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


def test_another_projects_judge_is_not_found():
    project, other = make_demo_project(1), make_demo_project(1)
    judge = make_judge(other, source="gold")
    assert (
        client_of(owner_of(project)).get(page("judge_detail", project, judge.uid)).status_code
        == 404
    )


def test_a_judge_is_made_asked_and_retired_by_hand(bell, django_capture_on_commit_callbacks):
    project = make_demo_project(3, for_ai=False)
    client = client_of(owner_of(project))
    assert "There is no AI judge yet" in client.get(page("judge_list", project)).text
    form = client.get(page("judge_new", project) + "?preset=ultrafeedback").text
    assert "UltraFeedback (2310.01377)" in form
    said = fields_of(client.get(page("judge_new", project)).text)
    made = client.post(
        page("judge_new", project), {**said, "name": "gold", "source": "gold"}, headers=HTMX
    )
    judge = Judge.objects.get()
    detail = page("judge_detail", project, judge.uid)
    assert made["HX-Redirect"] == detail
    wrong = client.post(page("judge_ask", project, judge.uid), {"which": "waiting", "seed": 0})
    assert wrong.status_code == 422
    assert "There is no comparison of this choice" in wrong.text
    with django_capture_on_commit_callbacks(execute=True):
        asked = client.post(
            page("judge_ask", project, judge.uid),
            {"which": "queue", "limit": 2, "seed": 0},
            headers=HTMX,
        )
    run = TrainingRun.objects.get()
    assert asked["HX-Redirect"] == page("run_detail", project, run.uid)
    assert bell == [run.pk]
    assert client.get(page("run_detail", project, run.uid)).status_code == 200
    assert Comparison.objects.filter(state="closed").count() == 2
    shown = client.get(detail).text
    assert "2 of 2 comparisons judged" in shown
    assert "Position bias" not in shown
    client.post(page("judge_retire", project, judge.uid))
    shown = client.get(detail).text
    assert "retired" in shown
    assert 'name="which"' not in shown
    assert "retired" in client.get(page("judge_list", project)).text


@pytest.mark.django_db(transaction=True)
def test_how_a_judge_leans_is_drawn(monkeypatch, tmp_path):
    project = make_demo_project(3)
    judge = make_judge(project)
    viewer = client_of(make_member(project, "viewer"))
    detail = page("judge_detail", project, judge.uid)
    assert "Measured once the judge has judged" in viewer.get(detail).text
    owner = owner_of(project)
    run = ask_judge(actor=owner, project=project, judge=judge, which="waiting")
    use_recipe(monkeypatch, tmp_path, HEAD + JUDGES, LEAVES=2)
    tasks.train(run.pk)
    shown = viewer.get(detail).text
    assert "6 pairs, by how much likelier" in shown
    assert 'aria-label="Position bias: 0.30 on the average"' in shown
    assert shown.count('class="bar-1"') == 1
    assert "too long 1" in shown
    assert 'name="which"' not in shown
    html = client_of(owner).get(page("run_detail", project, run.uid)).text
    assert str(judge) in html


def test_what_models_wrote_stays_text():
    project = make_demo_project(1, k=2)
    bad = "<script>alert(1)</script>"
    slot = Comparison.objects.get().slots.first()
    said = [{"role": "assistant", "content": [{"type": "text", "text": bad}]}]
    Candidate.objects.filter(pk=slot.candidate_id).update(messages=said)
    owner, judge = owner_of(project), make_judge(project, source="gold", criteria=f"Not {bad}")
    ask_judge(actor=owner, project=project, judge=judge, which="waiting")
    assert Judgement.objects.count() == 1
    shown = client_of(owner).get(page("judge_detail", project, judge.uid)).text
    assert bad not in shown
    assert shown.count("&lt;script&gt;alert(1)") >= 2


def test_a_list_costs_the_same_however_many(django_assert_max_num_queries):
    project = make_demo_project(1)
    model = make_model(project)
    for number in range(4):
        make_judge(project, f"judge-{number}", model=model)
    client: Client = client_of(make_member(project, "viewer"))
    with django_assert_max_num_queries(8):
        assert client.get(page("judge_list", project)).text.count("four aspects") == 0


class _Fields(HTMLParser):
    """What a form would send as it stands."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._select = ""

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "input" and name and given.get("type") not in {"checkbox", "hidden"}:
            self.found[name] = given.get("value") or ""
        if tag == "input" and given.get("type") == "checkbox" and "checked" in given:
            self.found[name] = "on"
        if tag == "select":
            self._select = name
        if tag == "option" and "selected" in given:
            self.found[self._select] = given.get("value") or ""


def fields_of(html: str) -> dict[str, str]:
    """Return the values of a page's fields."""
    parser = _Fields()
    parser.feed(html)
    return parser.found
