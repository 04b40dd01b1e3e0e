"""Simulated annotators: they rank by the demo world's hidden score, through the same services."""

import random
from dataclasses import dataclass

from django.utils.translation import gettext as _

from labeling.demo.gold import agreeing_pairs, gold_score, noisy_order
from labeling.exceptions import InvalidInput
from labeling.models import Annotator, Judgement, Project, Role, User
from labeling.selectors.queue import Card
from labeling.services.assignments import claim_next
from labeling.services.judgements import Submission, submit_judgement
from labeling.services.projects import set_member


@dataclass
class SimulationReport:
    """What was judged, and how far the rankings agree with gold pair by pair."""

    judgements: int = 0
    pairs: int = 0
    agreeing: int = 0

    @property
    def agreement(self) -> float:
        """The share of pairs ranked as gold has them: the ceiling of a model read on labels."""
        return self.agreeing / self.pairs if self.pairs else 1.0


def simulated_account(*, actor: User, project: Project, number: int) -> User:
    """Return the account of a simulated annotator, made at first need; nobody can sign in to it."""
    user, made = User.objects.get_or_create(username=f"simulated-{project.slug}-{number}")
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    set_member(actor=actor, project=project, user=user, role=Role.ANNOTATOR)
    Annotator.objects.get_or_create(
        project=project,
        user=user,
        defaults={"kind": Annotator.Kind.SIMULATED, "name": user.username},
    )
    return user


def simulate_annotators(
    *,
    actor: User,
    project: Project,
    annotators: int,
    judgements: int,
    noise: float,
    seed: int = 0,
    careless: int = 0,
) -> SimulationReport:
    """Have simulated annotators take turns until `judgements` are made or the queue is empty.

    Each neighbouring pair of the gold order is swapped with probability `noise`, in one pass. The
    last `careless` of the annotators don't look: their orders are drawn at random. Raises
    InvalidInput for numbers out of range.
    """
    errors = {}
    if annotators < 1:
        errors["annotators"] = [_("At least one is needed.")]
    if not 0 <= careless <= max(annotators, 0):
        errors["careless"] = [_("It is a number of the annotators, from none to all of them.")]
    if not 0 <= noise <= 1:
        errors["noise"] = [_("A probability lies between 0 and 1.")]
    if errors:
        raise InvalidInput(_("The simulation can't start."), errors=errors)
    rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    people = [
        simulated_account(actor=actor, project=project, number=n + 1) for n in range(annotators)
    ]
    report = SimulationReport()
    idle = 0
    while report.judgements < judgements and idle < len(people):
        turn = (report.judgements + idle) % len(people)
        looks = turn < annotators - careless
        judged = _judge_one(people[turn], project, noise if looks else None, rng, report)
        idle = 0 if judged else idle + 1
    return report


def _judge_one(
    person: User,
    project: Project,
    noise: float | None,
    rng: random.Random,
    report: SimulationReport,
) -> bool:
    """Let one person judge one comparison; False when nothing is left for them.

    Without a noise the person does not look at the replies.
    """
    card = claim_next(actor=person, project=project)
    if card is None:
        return False
    scores = card_scores(card)
    order = _any_order(len(scores), rng) if noise is None else noisy_order(scores, noise, rng)
    submit_judgement(
        actor=person,
        assignment_uid=card.assignment_uid,
        submission=Submission(tiers=order, touched=True, active_ms=0),
        idempotency_key=str(card.assignment_uid),
        origin=Judgement.Origin.SIMULATED,
    )
    agreeing, put = agreeing_pairs(order, scores)
    report.judgements += 1
    report.pairs += put
    report.agreeing += agreeing
    return True


def _any_order(count: int, rng: random.Random) -> list[list[int]]:
    """Return an order of so many positions that has nothing to do with them, without ties."""
    return [[position] for position in rng.sample(range(count), count)]


def card_scores(card: Card) -> list[float]:
    """Return the gold score of each candidate of a card, by position."""
    messages = [{"role": m.role, "content": m.text} for m in card.messages]
    return [gold_score(messages, candidate.text) for candidate in card.candidates]
