"""The playground's pages as each of seven, replies as they stream, and what is kept of them."""

import json
from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling.models import OfferedPrompt, Project, Prompt
from labeling.services.offers import offer_prompt
from tests.factories import ACTORS, make_admin, make_member, make_project, owner_of, seven_actors
from tests.locale.pages import english_in
from tests.training.factories import make_model
from tests.training.playground.serving import TOKEN, lease, speaking
from tests.training.views.asking import client_of
from training.endpoints.services import create_endpoint
from training.models import ModelVersion
from training.playground import streaming, tasks, views
from training.playground.models import ServedModel

pytestmark = pytest.mark.django_db
# In the order of ACTORS: nobody, a stranger, annotator, viewer, manager, owner, site admin.
CLOSED = (302, 404, 403, 403, 200, 200, 200)
MANAGERS_SEND = (302, 404, 403, 403, 302, 302, 302)
ITS_AUTHOR_SENDS = (302, 404, 403, 403, 404, 302, 404)
MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.fixture(autouse=True)
def rung(monkeypatch) -> list[int]:
    """Keep for whom a worker was rung; a test is one transaction, which never commits."""
    found: list[int] = []
    monkeypatch.setattr(tasks, "ring_served", found.append)
    monkeypatch.setattr(transaction, "on_commit", lambda deed: deed())
    return found


def page(project: Project, name: str = "playground", *args: object) -> str:
    return reverse(f"training:{name}", args=[project.slug, *args])


def asked(model: ModelVersion, **fields: object) -> dict[str, object]:
    given = {"temperature": "0.7", "top_p": "1", "max_tokens": "20", "seed": ""}
    return {**given, "model": model.pk, "messages": json.dumps(MESSAGES), **fields}


def ask(client: Client, model: ModelVersion, **fields: object):
    headers = {"Accept": "application/json, text/event-stream"}
    return client.post(
        page(model.project, "playground_reply"), asked(model, **fields), headers=headers
    )


def events(response) -> list[tuple[str, dict]]:
    raw = b"".join(response).decode()  # read to its end, which closes it
    found = []
    for block in filter(None, raw.split("\n\n")):
        if block == ":":  # a sign of life
            continue
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("playground", CLOSED),
        ("playground_prompts", CLOSED),
        ("playground_reply", CLOSED),
        ("playground_offer", CLOSED),
        ("playground_withdraw_all", MANAGERS_SEND),
        ("playground_withdraw", ITS_AUTHOR_SENDS),
        ("playground_decide", MANAGERS_SEND),
    ],
)
def test_pages_answer_each_of_the_seven(name, expected):
    project = make_project()
    found = [status(project, name, user) for user in seven_actors(project).values()]
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


def test_where_it_is_open_annotators_talk_but_decide_about_nobodys_texts():
    project = make_project(opens_playground=True)
    annotator, viewer = make_member(project), make_member(project, "viewer")
    names = ("playground", "playground_prompts", "playground_reply", "playground_offer")
    assert [status(project, name, annotator) for name in names] == [200] * 4
    assert [status(project, name, viewer) for name in names] == [403] * 4
    assert status(project, "playground_withdraw_all", annotator) == 302
    assert status(project, "playground_withdraw", annotator) == 404
    assert status(project, "playground_decide", annotator) == 403


def status(project: Project, name: str, user) -> int:
    """Return what a page answers somebody, the owner having given a text; a model is ready."""
    OfferedPrompt.objects.all().delete()
    Prompt.objects.all().delete()
    text = [{"role": "user", "content": "Write to me@example.org"}]
    offer_prompt(actor=owner_of(project), project=project, messages=text, consent="Yes.")
    row = OfferedPrompt.objects.get()
    model = ModelVersion.objects.filter(project=project).first() or make_model(project)
    about_one = name in {"playground_withdraw", "playground_decide"}
    url = page(project, name, *([row.pk] if about_one else []))
    with speaking("Hello") as speaker:
        lease(model, port=speaker.port)
        if name in {"playground", "playground_prompts"}:
            return client_of(user).get(url).status_code
        response = client_of(user).post(url, {**asked(model), "consent": "1", "take": "1"})
        if response.streaming:
            b"".join(response)
        return response.status_code


def test_annotators_see_the_link_where_it_leads_somewhere():
    for is_open in (False, True):
        project = make_project(opens_playground=is_open)
        overview = reverse("labeling:project_detail", args=[project.slug])
        shown = client_of(make_member(project)).get(overview).text
        assert (page(project) in shown) is is_open
        assert page(project) in client_of(make_member(project, "manager")).get(overview).text
        assert page(project) not in client_of(make_member(project, "viewer")).get(overview).text


def test_a_reply_streams_and_ends_as_sanitized_html():
    project = make_project()
    model = make_model(project)
    client = client_of(owner_of(project))
    with speaking("Hello <script>x</script>", " **there**") as speaker:
        lease(model, port=speaker.port)
        response = ask(client, model, seed="5")
        assert response["Content-Type"] == "text/event-stream"
        (first, second, (last, done)) = events(response)
    assert first == ("piece", {"text": "Hello <script>x</script>"})
    assert second == ("piece", {"text": " **there**"})
    assert last == "done"
    assert done["text"] == "Hello <script>x</script> **there**"
    assert "<strong>there</strong>" in done["html"]
    assert "<script>" not in done["html"]
    assert not done["is_cut"]
    assert speaker.tokens == [f"Bearer {TOKEN}"]
    (body,) = speaker.asked
    assert (body["messages"], body["seed"], body["max_tokens"]) == (MESSAGES, 5, 20)


def test_the_token_and_the_port_are_shown_to_nobody():
    project = make_project()
    model = make_model(project)
    lease(model, port=45_678)
    client = client_of(owner_of(project))
    for name in ("playground", "playground_prompts"):
        shown = client.get(page(project, name)).text
        assert TOKEN not in shown
        assert "45678" not in shown


def test_a_model_that_is_not_loaded_is_asked_for(rung):
    project = make_project()
    model = make_model(project)
    client = client_of(owner_of(project))
    first = ask(client, model)
    assert (first.status_code, first.json()["state"]) == (202, "waiting")
    assert rung == [model.pk]
    lease(model, "loading")
    assert ask(client, model, again="1").json()["state"] == "loading"


def test_a_model_that_cannot_be_loaded_says_so_to_who_waits_and_is_tried_again():
    project = make_project()
    model = make_model(project)
    client = client_of(owner_of(project))
    lease(model, "failed", problem="a long trace\nValueError: no such weights")
    waiting = ask(client, model, again="1")
    assert waiting.status_code == 409
    assert waiting.json()["message"].endswith("ValueError: no such weights")
    assert ask(client, model).json()["state"] == "waiting"


def test_a_dead_child_is_noticed_and_another_one_asked_for(rung):
    project = make_project()
    model = make_model(project)
    with speaking("x") as speaker:
        port = speaker.port
    lease(model, port=port)
    client = client_of(owner_of(project))
    assert ask(client, model).status_code == 202
    assert ServedModel.objects.get().state == "stopped"
    assert ask(client, model).json()["state"] == "waiting"
    assert rung == [model.pk]


def test_a_child_on_another_machine_is_not_asked():
    project = make_project()
    model = make_model(project)
    lease(model, worker="elsewhere:1")
    response = ask(client_of(owner_of(project)), model)
    assert response.status_code == 409
    assert "another machine" in response.json()["message"]


@pytest.mark.parametrize(
    ("status", "wanted", "text"), [(429, 429, "no room"), (400, 409, "no room"), (500, 409, "500")]
)
def test_what_the_child_refuses_is_said(status, wanted, text):
    project = make_project()
    model = make_model(project)
    with speaking(status=status) as speaker:
        lease(model, port=speaker.port)
        response = ask(client_of(owner_of(project)), model)
    assert (response.status_code, text in response.json()["message"]) == (wanted, True)


@pytest.mark.django_db(transaction=True)
def test_only_so_many_streams_hold_a_thread(settings):
    """Beyond them people are told to wait; a stream that is closed makes room, once."""
    project = make_project()
    model = make_model(project)
    client = client_of(owner_of(project))
    with speaking(*["word "] * 200, pause_s=0.02) as speaker:
        lease(model, port=speaker.port)
        held = [ask(client, model) for _ in range(settings.PLAYGROUND_STREAMS)]
        assert [next(iter(one)) for one in held]
        full = ask(client, model)
        assert (full.status_code, full.json()["code"]) == (429, "busy")
        for one in held:
            one.close()
            one.close()
        assert speaker.left.wait(5)
        after = ask(client, model)
        assert after.status_code == 200
        after.close()
    assert streaming._places._value == settings.PLAYGROUND_STREAMS


@pytest.mark.django_db(transaction=True)
def test_who_leaves_while_the_model_is_busy_gives_the_place_back(settings):
    """The stream begins before the model's turn comes, so each write can find the browser gone."""
    model = make_model(make_project())
    client = client_of(owner_of(model.project))
    with speaking("late") as speaker:
        speaker.turn.clear()
        lease(model, port=speaker.port)
        left, stays = ask(client, model), ask(client, model)
        arriving = iter(left)
        assert [next(arriving) for _ in range(3)] == [streaming.SIGN_OF_LIFE] * 3
        left.close()  # as the web server does once a write fails
        assert speaker.left.wait(5)
        assert streaming._places._value == settings.PLAYGROUND_STREAMS - 1
        speaker.turn.set()
        assert [name for name, _ in events(stays)] == ["piece", "done"]
    assert streaming._places._value == settings.PLAYGROUND_STREAMS


def test_a_stream_that_breaks_off_says_so():
    project = make_project()
    model = make_model(project)
    with speaking("a", "b", breaks_off=True) as speaker:
        lease(model, port=speaker.port)
        found = events(ask(client_of(owner_of(project)), model))
    assert [name for name, _ in found] == ["piece", "piece", "problem"]
    assert "ended before the reply" in found[-1][1]["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": "nonsense"},
        {"messages": "[]"},
        {"messages": json.dumps([{"role": "assistant", "content": "a"}])},
        {"temperature": "3"},
        {"top_p": "0"},
        {"max_tokens": "0"},
        {"seed": "-1"},
    ],
)
def test_what_cannot_be_sent_is_refused_by_field(fields):
    model = make_model(make_project())
    response = ask(client_of(owner_of(model.project)), model, **fields)
    assert response.status_code == 422
    assert set(response.json()["errors"]) == set(fields)


def test_models_of_others_and_reward_models_are_not_talked_to():
    project = make_project()
    other, reward = make_model(make_project()), make_model(project, "reward", "judge")
    client = client_of(owner_of(project))
    for model in (other, reward):
        url = page(project, "playground_reply")
        assert client.post(url, asked(model)).status_code == 404


def test_an_outside_model_answers_by_its_endpoint():
    project = make_project()
    with speaking("From", " afar") as speaker:
        create_endpoint(
            actor=owner_of(project),
            project=project,
            name="afar",
            base_url=f"http://127.0.0.1:{speaker.port}/v1",
            model_name="big",
            allows_private=True,
        )
        model = ModelVersion.objects.get(kind="outside")
        client = client_of(owner_of(project))
        assert f'value="{model.pk}"' in client.get(page(project)).text
        assert events(ask(client, model))[-1][1]["text"] == "From afar"
    assert not ServedModel.objects.exists()
    gone = ask(client, model)
    assert gone.status_code == 409


def test_a_message_is_kept_with_consent_alone():
    project = make_project()
    client = client_of(owner_of(project))
    url = page(project, "playground_offer")
    headers = {"Accept": "application/json"}
    said = {"messages": json.dumps(MESSAGES)}
    assert client.post(url, said, headers=headers).status_code == 422
    assert not OfferedPrompt.objects.exists()
    kept = client.post(url, {**said, "consent": "1"}, headers=headers)
    assert kept.json()["outcome"] == "taken"
    assert OfferedPrompt.objects.get().consent == str(views.CONSENT)
    assert client.post(url, {**said, "consent": "1"}, headers=headers).json()["outcome"] == "known"


def test_consent_is_off_until_it_is_given_and_its_sentence_is_on_the_page():
    project = make_project()
    make_model(project)
    shown = client_of(owner_of(project)).get(page(project)).text
    box = shown[shown.index('id="consent"') : shown.index(">", shown.index('id="consent"'))]
    assert "checked" not in box
    assert "I can take it back at any time." in shown


def test_a_manager_decides_what_is_held_and_its_author_takes_it_back():
    project = make_project()
    author, manager = make_member(project, "manager"), make_member(project, "manager")
    text = [{"role": "user", "content": "<b>Write</b> to me@example.org"}]
    for number in range(2):
        said = [{**text[0], "content": f"{text[0]['content']} {number}"}]
        offer_prompt(actor=author, project=project, messages=said, consent="Yes.")
    listed = page(project, "playground_prompts")
    shown = client_of(manager).get(listed).text
    assert "2 messages seem to hold personal data" in shown
    assert "e-mail address" in shown
    assert "&lt;b&gt;Write" in shown
    first, second = OfferedPrompt.objects.order_by("pk")
    client_of(manager).post(page(project, "playground_decide", first.pk), {"take": "1"})
    client_of(manager).post(page(project, "playground_decide", second.pk), {"take": "0"})
    assert [row.state for row in OfferedPrompt.objects.order_by("pk")] == ["taken", "refused"]
    client_of(author).post(page(project, "playground_withdraw", first.pk))
    assert Prompt.objects.get().state == "withdrawn"
    assert "me@example.org" in client_of(author).get(listed).text
    client_of(author).post(page(project, "playground_withdraw_all"))
    assert "You have given no message." in client_of(author).get(listed).text


def test_what_pages_cost_does_not_grow(django_assert_max_num_queries):
    project = make_project()
    owner = owner_of(project)
    for number in range(30):
        make_model(project, name=f"m{number}")
        said = [{"role": "user", "content": f"Mail {number} to a{number}@example.org"}]
        offer_prompt(actor=owner, project=project, messages=said, consent="Yes.")
    client = client_of(owner)
    for name, most in (("playground", 8), ("playground_prompts", 11)):
        client.get(page(project, name))
        with django_assert_max_num_queries(most):
            client.get(page(project, name))


def test_a_lease_that_ran_out_is_asked_for_again(rung):
    model = make_model(make_project())
    lease(model, "waiting", lease_until=timezone.now() - timedelta(seconds=5))
    assert ask(client_of(owner_of(model.project)), model).json()["state"] == "waiting"
    assert rung == [model.pk]


def test_the_pages_speak_chinese_alone():
    project = make_project()
    make_model(project)
    admin = make_admin(language="zh-hans")
    text = [{"role": "user", "content": "me@example.org"}]
    offer_prompt(actor=admin, project=project, messages=text, consent="Yes.")
    for name in ("playground", "playground_prompts"):
        shown = client_of(admin).get(page(project, name))
        assert shown["Content-Language"] == "zh-hans"
        assert english_in(shown.text) == []
