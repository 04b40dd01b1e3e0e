"""What people wrote among the replies of a round: shown again in the next, and missed in time."""

from pathlib import Path
from typing import Any

import pytest

from labeling.domain.content import content_hash
from labeling.exceptions import InvalidInput
from labeling.models import Candidate, Comparison, ComparisonCandidate, Project, Prompt
from labeling.selectors.references import HUMAN
from labeling.services import references
from labeling.services.assignments import claim_next
from labeling.services.comparisons import queue_comparisons
from labeling.services.judgements import Submission, submit_judgement
from labeling.services.prompts import ensure_demonstrations
from tests.factories import make_comparison, owner_of
from tests.training.rounds.turning import asked, begin, judge, make_loop, play, turn_until
from training.rounds.loops import parse_loop
from training.rounds.models import Round
from training.rounds.services import configure_loop
from training.rounds.sources import missing_source

pytestmark = pytest.mark.django_db(transaction=True)
MIXED = {"share_current": 0.75, "share_human": 0.25, "trains_reward": False, "promotion": "ask"}


@pytest.fixture(autouse=True)
def _recipes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    play(monkeypatch, tmp_path)


def _written_loop(prompts: int = 3, **changes: Any) -> Project:
    """Return a project with one reply by hand to each prompt; its loop wants one to each."""
    project = make_loop(prompts=prompts, **{**MIXED, **changes})
    message = {"role": "assistant", "content": [{"type": "text", "text": "By hand."}]}
    ensure_demonstrations(rows=[(prompt, [message]) for prompt in project.prompts.all()])
    return project


def _by_people(round: Round) -> list[int]:
    """Return how many replies by people each comparison of the round shows."""
    return [one.candidates.filter(sources__model_name=HUMAN).count() for one in asked(round)]


@pytest.mark.parametrize("pool", [{}, {"pool_factor": 2, "share_current": 0.75}])
def test_a_reference_is_shown_in_round_after_round(pool: dict[str, Any]) -> None:
    project = _written_loop(**pool)
    for _ in range(2):
        round = turn_until(begin(project), Round.State.LABELLING)
        assert len(asked(round)) == 3
        if not pool:
            assert _by_people(round) == [1, 1, 1]
            judge(project)
        Round.objects.filter(pk=round.pk).update(state=Round.State.CANCELLED)
    assert Candidate.objects.filter(sources__model_name=HUMAN).count() == 3


def test_a_reply_written_while_ranking_is_a_reference_of_the_next_round() -> None:
    project = make_loop(prompts=0, **MIXED)
    Project.objects.filter(pk=project.pk).update(asks_demonstrations=True)
    make_comparison(project)
    owner = owner_of(project)
    card = claim_next(actor=owner, project=project)
    assert card is not None
    submission = Submission(
        tiers=[[4], [0], [1], [2], [3]], touched=True, own_text="Better, by hand.", active_ms=1
    )
    submit_judgement(
        actor=owner, assignment_uid=card.assignment_uid, submission=submission, idempotency_key="1"
    )
    round = turn_until(begin(project), Round.State.LABELLING)
    assert _by_people(round) == [1]


def test_whether_people_wrote_enough_is_known_from_the_first_of_their_replies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = _written_loop(prompts=5)
    read: list[Any] = []

    def read_and_hashed(messages: Any) -> str:
        read.append(messages)
        return content_hash(messages)

    monkeypatch.setattr(references, "content_hash", read_and_hashed)
    assert missing_source(project, parse_loop(project.loop.config), seed=1) == ""
    assert len(read) == 1


def test_only_what_is_named_stands_in_another_comparison() -> None:
    project = _written_loop(prompts=1)
    turn_until(begin(project), Round.State.LABELLING)
    shown = list(ComparisonCandidate.objects.values_list("candidate_id", flat=True))
    ids = [prompt.pk for prompt in Prompt.objects.filter(project=project)]
    again = shown[:3]
    queue_comparisons(actor=None, project=project, prompt_ids=ids, candidate_ids=shown)
    assert Comparison.objects.count() == 1
    (made,) = queue_comparisons(
        actor=None, project=project, prompt_ids=ids, candidate_ids=shown, again=again, size=3
    )
    assert set(made.candidates.values_list("pk", flat=True)) == set(again)


def test_too_few_written_replies_are_said_before_anything_is_sampled() -> None:
    project = _written_loop(share_human=0.5, share_current=0.5)
    with pytest.raises(InvalidInput) as refused:
        begin(project)
    assert "too few replies" in refused.value.errors["round"][0]
    config = {"preset": "tiny-cpu", "replies_per_prompt": 4, **MIXED}
    configure_loop(actor=owner_of(project), project=project, config=config)
    begin(project)
