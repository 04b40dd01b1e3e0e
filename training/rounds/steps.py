"""What a round does in each of its states, one transaction at a time.

Each function is called with the round's row locked, and returns whether the round went on to
another state. What it finds done it does not do again: a process may die before or after any of
them, and whoever comes next goes on from what the database says.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from django.utils import timezone

from labeling.domain.sentences import said_again
from labeling.domain.sentences import sentence as _
from labeling.exceptions import NothingToFreeze
from labeling.models import Candidate, CandidateSource, Prompt, Snapshot
from labeling.models.prompts import State as PromptState
from labeling.services.ai_judgements import give_to_ai
from labeling.services.snapshots import freeze_snapshot
from training.acquisition.selectors import scorer_for, scores_for
from training.acquisition.services import ask_first, create_scoring
from training.contests.services import open_contest, settle_contest
from training.endpoints.selectors import outside_model
from training.models import ModelVersion, SampledCandidate, TrainingRun
from training.rounds.config import REWARDED
from training.rounds.labels import ai_annotators_of
from training.rounds.loops import Loop, mixes_texts
from training.rounds.models import Round, RoundComparison, RoundStep
from training.rounds.selectors import (
    fine_tuned,
    first_policy,
    labelling_of,
    loop_of,
    made_by,
    policy_before,
    round_contest,
    standing_steps,
    start_policy,
)
from training.rounds.sources import human_references
from training.services.evaluations import create_evaluation
from training.services.runs import create_run
from training.services.sampling import create_sampling_run

State = Round.State
Kind = RoundStep.Kind
RunState = TrainingRun.State


class Stuck(Exception):
    """The round can't go on by itself; the sentence says why, and what a person can do."""


def sample(round: Round) -> bool:
    """Let the policies reply; once all have, make comparisons of what they said."""
    steps = standing_steps(round, Kind.SAMPLE)
    if not steps:
        _start_sampling(round)
        return False
    if not all_succeeded(steps):
        return False
    scorer = scorer_for(round)
    if scorer and not trained(round, Kind.SCORE, partial(_start_scoring, scorer=scorer)):
        return False
    _ask(round, steps)
    round.labelling_since = timezone.now()
    return _go_on(round, State.LABELLING)


def _start_sampling(round: Round) -> None:
    loop = loop_of(round)
    for model, count in _sources(round, loop).items():
        run = create_sampling_run(
            actor=round.created_by,
            project=round.project,
            model=model,
            config={**loop.recipe_config("sample"), "candidates_per_prompt": count},
            seed=round.seed,
            tags=loop.config.tag_names,
            exclude_tags=loop.config.excluded_tag_names,
            limit=loop.config.prompts or None,
            queue=False,
        )
        RoundStep.objects.create(round=round, kind=Kind.SAMPLE, run=run)


def _sources(round: Round, loop: Loop) -> dict[ModelVersion, int]:
    """Return how many replies each model writes; a share of none falls to the current policy.

    What people wrote is there already. Raises Stuck where the outside model can't be asked.
    """
    by_source = loop.config.replies_by_source()
    del by_source["human"]
    models = {
        "current": fine_tuned(round, round.policy),
        "previous": fine_tuned(round, policy_before(round.project) or round.policy),
        "base": fine_tuned(round, first_policy(round.project) or round.policy),
    }
    if by_source["outside"]:
        models["outside"] = _outside(round, loop)
    counts: dict[ModelVersion, int] = {}
    for source, count in by_source.items():
        if count:
            counts[models[source]] = counts.get(models[source], 0) + count
    return counts


def _outside(round: Round, loop: Loop) -> ModelVersion:
    model = outside_model(round.project, loop.config.outside)
    if model is None:
        raise Stuck(
            _(
                "This project may ask no outside model {name}: an administrator offers one, or "
                "cancel the round and change the loop.",
                name=repr(loop.config.outside),
            )
        )
    return model


def _start_scoring(round: Round, scorer: ModelVersion) -> TrainingRun:
    return create_scoring(
        actor=round.created_by,
        project=round.project,
        reward_model=scorer,
        candidate_ids=_sampled(standing_steps(round, Kind.SAMPLE)) | human_references(round),
        config=loop_of(round).recipe_config("score"),
        seed=round.seed,
    )


def _sampled(steps: list[RoundStep]) -> set[int]:
    """Return the candidates that the runs of these steps sampled."""
    runs = [step.run_id for step in steps]
    sources = SampledCandidate.objects.filter(sampling_run__in=runs).values("source")
    rows = CandidateSource.objects.filter(pk__in=sources)
    return set(rows.values_list("candidate_id", flat=True))


def _ask(round: Round, steps: list[RoundStep]) -> None:
    """Make comparisons of the replies of all the round's models: all of them, or those chosen.

    What people wrote is asked about in round after round, beside what the policies say then.
    """
    references = human_references(round)
    replies = _sampled(steps) | references
    prompts = Candidate.objects.filter(pk__any=replies).values("prompt")
    active = Prompt.objects.filter(pk__in=prompts, state=PromptState.ACTIVE)
    made = ask_first(
        actor=round.created_by,
        project=round.project,
        prompt_ids=list(active.values_list("pk", flat=True)),
        candidate_ids=replies,
        scores=scores_for(round),
        how=loop_of(round).config,
        seed=round.seed,
        again=references,
    )
    if not made:
        raise Stuck(
            _(
                "The replies were too alike to make a comparison of: sample more replies, or at a "
                "higher temperature, and start another round."
            )
        )
    RoundComparison.objects.bulk_create(
        [RoundComparison(round=round, comparison=one, arm=arm) for one, arm in made],
        batch_size=1000,
    )
    _keep_for_ai(round, [one.pk for one, _arm in made])


def _keep_for_ai(round: Round, comparison_ids: list[int]) -> None:
    """Let AI judges that label alone have the comparisons before any person is offered one."""
    config = loop_of(round).config
    if config.judges == "ai":
        give_to_ai(
            actor=round.created_by,
            project=round.project,
            comparison_ids=comparison_ids,
            overlap=len(config.judge_names),
        )


def label(round: Round) -> bool:
    """Wait for the annotators: for a share of the comparisons, or for so many days.

    Where AI judges have judged, only for what waits for people.
    """
    config = loop_of(round).config
    found = labelling_of(round, config.judged_share, by_people=bool(config.judge_names))
    over = bool(
        config.most_days
        and round.labelling_since
        and timezone.now() >= round.labelling_since + timedelta(days=config.most_days)
    )
    nobody = bool(config.judge_names) and not found.comparisons
    return (found.is_done or over or nobody) and _go_on(round, State.FROZEN)


def freeze(round: Round) -> bool:
    """Freeze the judgements that the round learns from."""
    config = loop_of(round).config
    if not standing_steps(round, Kind.FREEZE):
        try:
            snapshot = freeze_snapshot(
                actor=round.created_by,
                project=round.project,
                note=f"round {round.number}",
                since=round.created_at if config.labels == "round" else None,
                annotator_kinds=config.label_kinds,
                ai_annotator_ids=ai_annotators_of(round),
                weights=config.label_weights,
                exclude_tags=config.excluded_tag_names,
            )
        except NothingToFreeze as error:
            raise Stuck(error.args[0]) from None
        RoundStep.objects.create(round=round, kind=Kind.FREEZE, snapshot=snapshot)
    after = State.TRAINING_REWARD if config.trains_reward else State.TRAINING_POLICY
    return _go_on(round, after)


def train_reward(round: Round) -> bool:
    """Train the reward model, from what the policy starts from (InstructGPT 3.5: the SFT model)."""
    return trained(round, Kind.REWARD, _start_reward) and _go_on(round, State.TRAINING_POLICY)


def _start_reward(round: Round) -> TrainingRun:
    steps = standing_steps(round, Kind.FREEZE)
    return create_run(
        actor=round.created_by,
        project=round.project,
        recipe="reward",
        snapshot=steps[0].snapshot,
        base_model=start_policy(round),
        config=loop_of(round).recipe_config("reward"),
        seed=round.seed,
    )


def train_policy(round: Round) -> bool:
    """Train the next policy from the round's labels, or against its reward model."""
    if not trained(round, Kind.POLICY, _start_policy):
        return False
    measured = loop_of(round).config.trains_reward
    return _go_on(round, State.EVALUATING if measured else State.DECIDING)


def _start_policy(round: Round) -> TrainingRun:
    loop = loop_of(round)
    recipe = loop.config.policy_recipe
    rewarded = recipe in REWARDED
    start = start_policy(round)
    frozen = standing_steps(round, Kind.FREEZE)[0].snapshot
    config = loop.recipe_config(recipe)
    texts = _texts(round) if mixes_texts(config) else None
    return create_run(
        actor=round.created_by,
        project=round.project,
        recipe=recipe,
        snapshot=texts if rewarded else frozen,
        base_model=start,
        config=config,
        seed=round.seed,
        name=round.policy.name,
        reward_model=made_by(round, Kind.REWARD) if rewarded else None,
        tags=loop.config.tag_names if rewarded else (),
        exclude_tags=loop.config.excluded_tag_names if rewarded else (),
    )


def _texts(round: Round) -> Snapshot:
    """Freeze the demonstrations that PPO-ptx keeps likely (InstructGPT, eq. 2)."""
    try:
        return freeze_snapshot(
            actor=round.created_by,
            project=round.project,
            kind=Snapshot.Kind.DEMONSTRATIONS,
            note=f"round {round.number}",
            exclude_tags=loop_of(round).config.excluded_tag_names,
        )
    except NothingToFreeze as error:
        raise Stuck(error.args[0]) from None


def evaluate(round: Round) -> bool:
    """Measure the new policy against the one that the round began with, on held-out prompts."""
    if not trained(round, Kind.EVALUATE, _start_evaluation) or not _people_have_judged(round):
        return False
    return _go_on(round, State.DECIDING)


def _people_have_judged(round: Round) -> bool:
    """Ask people about the evaluation's replies; return whether that has come to its end."""
    config, contest = loop_of(round).config, round_contest(round)
    if not config.human_evaluation:
        return True
    run = standing_steps(round, Kind.EVALUATE)[0].run
    if contest is None and run is not None:
        contest = open_contest(
            actor=round.created_by,
            project=round.project,
            run=run,
            most=config.human_evaluation,
            indifference=config.indifference,
        )
    if contest is not None and contest.is_open:
        contest = settle_contest(contest_id=contest.pk)
    return contest is not None and not contest.is_open


def _start_evaluation(round: Round) -> TrainingRun:
    loop = loop_of(round)
    policy, reward = made_by(round, Kind.POLICY), made_by(round, Kind.REWARD)
    if policy is None or reward is None:
        raise Stuck(_("A model of this round is gone: redo the step that makes it."))
    return create_evaluation(
        actor=round.created_by,
        project=round.project,
        policy=policy,
        reward_model=reward,
        reference=start_policy(round),
        baseline=round.policy,
        config={
            **loop.recipe_config("evaluate"),
            "replies_per_prompt": loop.config.evaluation_replies,
            "baseline_replies": loop.config.evaluation_replies,
        },
        seed=round.seed,
        tags=loop.config.tag_names,
        exclude_tags=loop.config.excluded_tag_names,
        limit=loop.config.evaluation_prompts or None,
    )


def trained(round: Round, kind: str, start: Callable[[Round], TrainingRun]) -> bool:
    """Start the run of a kind where there is none; return whether it has made its model."""
    steps = standing_steps(round, kind)
    if not steps:
        RoundStep.objects.create(round=round, kind=kind, run=start(round))
        return False
    return all_succeeded(steps)


def all_succeeded(steps: list[RoundStep]) -> bool:
    """Return whether the steps' runs succeeded; raise Stuck where one of them ended otherwise."""
    runs = [step.run for step in steps if step.run]
    ended = next((r for r in runs if not r.is_live and r.state != RunState.SUCCEEDED), None)
    if ended is not None and "endpoint_problem" in ended.result:
        raise Stuck(
            _(
                "{model} can't be asked. {why} The round goes on by itself once it answers.",
                model=str(ended.base_model),
                why=said_again(ended.error, ended.error_parts),
            )
        )
    if ended is not None:
        raise Stuck(
            _(
                "Its run {number} ({recipe}) is {state}: let it go on from its page, or redo the "
                "step.",
                number=ended.pk,
                recipe=ended.recipe,
                state=ended.state,
            )
        )
    return all(run.state == RunState.SUCCEEDED for run in runs)


def _go_on(round: Round, state: Round.State) -> bool:
    round.state = state
    round.save(update_fields=["state", "labelling_since"])
    return True
