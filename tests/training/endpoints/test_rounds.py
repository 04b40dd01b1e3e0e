"""Rounds that ask an outside model and show what people wrote; a server that dies and is back."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections
from django.utils import timezone

from labeling.domain.sentences import parts_of, said_again, sentence
from labeling.exceptions import InvalidInput
from labeling.models import CandidateSource, Project, Prompt
from labeling.selectors.references import HUMAN
from labeling.services.prompts import ensure_demonstrations
from tests import openai_server as far
from tests.factories import make_project, owner_of
from tests.openai_server import OpenAIServer, openai_server
from tests.training.endpoints.factories import KEY, make_endpoint
from tests.training.factories import make_sampling_run
from tests.training.rounds.turning import LOOP, asked, begin, make_loop, play, turn, turn_until
from training import launcher, rundir, tasks
from training.endpoints import waiting
from training.endpoints.models import Endpoint
from training.endpoints.services import update_endpoint
from training.models import ModelVersion, TrainingRun
from training.rounds.models import Round, RoundStep
from training.rounds.services import cancel_round, configure_loop, start_round

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.recipe]
MIXED = {
    **LOOP,
    "trains_reward": False,
    "share_current": 0.25,
    "share_outside": 0.5,
    "share_human": 0.25,
    "outside": "far",
    "recipes": {"sample": {"max_new_tokens": 8, "candidates_per_prompt": 1}},
}
State = TrainingRun.State


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server(key=KEY) as running:
        yield running


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Outside models are asked by the real recipe; a program plays all others."""
    real = launcher._command
    play(monkeypatch, tmp_path)
    scripted = launcher._command
    monkeypatch.setattr(
        launcher,
        "_command",
        lambda folder, recipe, head: (real if (folder / rundir.ENDPOINT).exists() else scripted)(
            folder, recipe, head
        ),
    )
    monkeypatch.setattr(tasks, "ring_rounds", lambda: None)
    monkeypatch.setattr(waiting, "FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(waiting, "LONGEST_WAIT_S", 0.0)


def write_to(prompts: list[Prompt]) -> None:
    """Let somebody have written a reply to each prompt."""
    rows = [
        (prompt, [{"role": "assistant", "content": [{"type": "text", "text": f"By hand, {n}."}]}])
        for n, prompt in enumerate(prompts)
    ]
    ensure_demonstrations(rows=rows)


def mixed_loop(server: OpenAIServer, prompts: int = 3) -> Project:
    """A loop of three sources, at the server."""
    project = make_loop(prompts=prompts, trains_reward=False)
    make_endpoint(server, project, key=KEY, retries=0, concurrency=1)
    write_to(list(Prompt.objects.filter(project=project)))
    configure_loop(actor=owner_of(project), project=project, config=MIXED)
    return project


def sources_of(round: Round) -> list[list[str]]:
    """Whose replies each comparison of the round shows."""
    return [
        sorted(
            CandidateSource.objects.filter(candidate__slots__comparison=one).values_list(
                "model_name", flat=True
            )
        )
        for one in asked(round)
    ]


def outside_run(round: Round) -> TrainingRun:
    """The round's run that asks the server."""
    steps = RoundStep.objects.filter(round=round, kind="sample")
    return TrainingRun.objects.get(
        pk__in=steps.values("run"), base_model__kind=ModelVersion.Kind.OUTSIDE
    )


def test_a_server_that_dies_holds_the_round_up_until_it_is_back(server: OpenAIServer):
    project = mixed_loop(server)
    round = begin(project)
    server.plan(far.well, far.well)
    server.always = far.status(503)
    turn(round)
    run = outside_run(round)
    assert run.state == State.STOPPED
    server.stop()
    turn(round)
    assert round.state == "sampling"
    assert "far v1 can't be asked" in round.problem
    assert "goes on by itself" in round.problem
    assert "{why}" in round.problem_parts["pattern"]
    assert round.problem_parts["values"]["why"]["pattern"].startswith("The server failed")
    assert waiting.resume_waiting() == []
    endpoint = Endpoint.objects.get()
    assert "Nobody answers" in endpoint.problem

    server.always = far.well
    server.start()
    assert waiting.resume_waiting() == [run.pk]
    turn_until(round, "labelling")
    assert round.problem == ""
    run.refresh_from_db()
    assert run.state == State.SUCCEEDED
    # Two were drawn before the server died: they are not asked for again.
    seeds = [one.body["seed"] for one in server.chats() if "seed" in one.body]
    answered = run.result["metrics"]["samples"]
    assert (answered, len(set(seeds))) == (6, 6)
    assert run.result["metrics"]["completion_tokens"] == sum(
        len(words)
        for words in {
            one.body["seed"]: far.words_for(one.body)
            for one in server.chats()
            if "seed" in one.body
        }.values()
    )
    assert sources_of(round) == [["far v1", "far v1", HUMAN, "policy v1"]] * 3
    # The key went to the server and stays nowhere.
    assert {one.key for one in server.chats()} == {KEY}
    for path in run.folder.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    rows = [*TrainingRun.objects.values(), *run.metrics.values()]
    assert KEY not in json.dumps(rows, default=str)


def end_without_answer(run: TrainingRun) -> None:
    """Leave a run as one whose server gave no answer is left."""
    TrainingRun.objects.filter(pk=run.pk).update(
        state=State.STOPPED,
        finished_at=timezone.now(),
        result={"endpoint_problem": {"code": "silent", "sentence": "Nothing came.", "parts": {}}},
    )


def test_a_run_that_nobody_waits_for_does_not_go_on(server: OpenAIServer):
    project = mixed_loop(server, prompts=2)
    round = begin(project)
    tasks.turn_rounds()
    run = outside_run(round)
    end_without_answer(run)
    assert list(waiting.waiting_runs()) == [run]
    cancel_round(actor=owner_of(project), round=round)
    assert list(waiting.waiting_runs()) == []
    Round.objects.filter(pk=round.pk).update(state="sampling")
    assert list(waiting.waiting_runs()) == [run]
    update_endpoint(actor=None, endpoint=run.base_model.endpoint, is_active=False)
    assert list(waiting.waiting_runs()) == []


def test_who_waits_is_asked_about_less_and_less_often(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
):
    project = make_project()
    endpoint = make_endpoint(server, project, key=KEY, retries=0)
    model = ModelVersion.objects.get(endpoint=endpoint)
    run = make_sampling_run(project, prompts=1, model=model, queue=False)
    end_without_answer(run)
    server.always = far.status(503)
    monkeypatch.setattr(waiting, "LONGEST_WAIT_S", 900.0)
    monkeypatch.setattr(waiting, "FIRST_WAIT_S", 60.0)
    assert waiting.resume_waiting() == []
    assert server.chats() == []
    ago = timezone.now() - timedelta(minutes=10)
    TrainingRun.objects.filter(pk=run.pk).update(finished_at=ago)
    assert waiting.resume_waiting() == []
    assert len(server.chats()) == 1
    assert waiting.resume_waiting() == []  # it was just asked: a quarter of the ten minutes first
    assert len(server.chats()) == 1
    server.always = far.well
    Endpoint.objects.update(checked_at=timezone.now() - timedelta(minutes=3))
    assert waiting.resume_waiting() == [run.pk]
    run.refresh_from_db()
    assert (run.state, run.error) == (State.QUEUED, "")


def test_a_silent_server_takes_one_process_for_a_short_while(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
):
    project = make_project()
    endpoint = make_endpoint(server, project, key=KEY)
    model = ModelVersion.objects.get(endpoint=endpoint)
    end_without_answer(make_sampling_run(project, prompts=1, model=model, queue=False))
    TrainingRun.objects.update(finished_at=timezone.now() - timedelta(minutes=10))
    server.always = far.silence(60)
    monkeypatch.setattr(waiting, "LONGEST_WAIT_S", 900.0)
    monkeypatch.setattr(waiting, "FIRST_WAIT_S", 10.0)
    monkeypatch.setattr("training.endpoints.services.KNOCK_S", 1.0)
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        first = pool.submit(closing_connections, waiting.resume_waiting)
        while not server.chats():
            assert time.monotonic() - began < 10
            time.sleep(0.01)
        assert waiting.resume_waiting() == []
        assert len(server.chats()) == 1
        assert not first.done()
        assert first.result(timeout=5) == []
    assert "silent for 1 s" in Endpoint.objects.get().problem


def closing_connections(deed: Callable[[], list[int]]) -> list[int]:
    """What a deed gives, as a process of its own would have it."""
    try:
        return deed()
    finally:
        connections.close_all()


def test_bells_that_nobody_heard_do_not_gather():
    assert settings.CELERY_BEAT_SCHEDULE["resume-waiting"]["options"] == {"expires": 10}


def test_what_a_round_would_lack_is_said_before_it_begins(server: OpenAIServer):
    project = make_loop(prompts=2, trains_reward=False)
    owner = owner_of(project)
    configure_loop(actor=owner, project=project, config=MIXED)
    with pytest.raises(InvalidInput) as raised:
        start_round(actor=owner, project=project)
    assert "no outside model 'far'" in raised.value.errors["round"][0]
    make_endpoint(server, project)
    with pytest.raises(InvalidInput) as raised:
        start_round(actor=owner, project=project)
    assert "Nobody has written" in raised.value.errors["round"][0]


def test_an_endpoint_that_is_gone_in_the_middle_is_said(server: OpenAIServer):
    project = mixed_loop(server, prompts=1)
    round = begin(project)
    make_project()
    for model in ModelVersion.objects.filter(kind="outside"):
        update_endpoint(actor=None, endpoint=model.endpoint, is_active=False)
    tasks.turn_rounds()
    round.refresh_from_db()
    assert "may ask no outside model 'far'" in round.problem
    assert not RoundStep.objects.filter(round=round).exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"outside": " "}, "outside"),
        ({"share_outside": 0.4}, "share_current"),
        ({"share_current": 0.0, "share_outside": 0.0, "share_human": 1.0}, "share_human"),
    ],
)
def test_shares_that_can_not_be_are_refused(changes, field):
    project = make_loop(prompts=1, trains_reward=False)
    with pytest.raises(InvalidInput) as raised:
        configure_loop(actor=owner_of(project), project=project, config={**MIXED, **changes})
    assert list(raised.value.errors) == [field]


def test_parts_of_a_stored_sentence_are_parts_again():
    inner = sentence("{count} of them.", count=3)
    outer = sentence("{model}: {why}", model="far", why=inner)
    again = said_again(str(outer), parts_of(outer))
    assert (again, parts_of(again)) == (str(outer), parts_of(outer))
    assert said_again("plain", {}) == "plain"
