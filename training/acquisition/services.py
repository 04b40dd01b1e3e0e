"""Writes of what is asked first: have replies scored, and deal them into comparisons."""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.exceptions import InvalidInput
from labeling.models import Candidate, Comparison, Project, User
from labeling.services import audit
from labeling.services.comparisons import queue_comparisons
from training import rundir
from training.acquisition.models import Scoring
from training.acquisition.strategies import RANDOM, Chosen, Pool, can_choose, choose
from training.models import ModelVersion, TrainingRun
from training.rounds.config import LoopConfig
from training.selectors import is_usable
from training.services.runs import resolve_config


@transaction.atomic
def create_scoring(
    *,
    actor: User | None,
    project: Project,
    reward_model: ModelVersion,
    candidate_ids: Collection[int],
    config: Mapping[str, Any] | None = None,
    preset_name: str = "",
    seed: int = 0,
) -> TrainingRun:
    """Queue a run in which each member of a reward model scores candidates of the project.

    Raises InvalidInput, with errors by field.
    """
    resolved = resolve_config(recipe="score", config=config, preset_name=preset_name)
    own = Candidate.objects.filter(prompt__project=project, pk__any=candidate_ids)
    ids = sorted(own.values_list("pk", flat=True))
    errors: dict[str, list[str]] = {}
    if not is_usable(project, reward_model):
        errors["reward_model"] = [_("There is no such model in this project.")]
    elif reward_model.kind != ModelVersion.Kind.REWARD:
        text = _("{model} is a {kind}; a {wanted} is asked for.").format(
            model=reward_model,
            kind=reward_model.get_kind_display(),
            wanted=ModelVersion.Kind.REWARD.label,
        )
        errors["reward_model"] = [text]
    if not ids:
        errors["candidate_ids"] = [_("There is no reply to score.")]
    if errors:
        raise InvalidInput(_("The replies can't be scored like this."), errors=errors)
    run = TrainingRun.objects.create(
        project=project,
        recipe="score",
        config=resolved,
        seed=seed,
        reward_model=reward_model,
        created_by=actor,
    )
    Scoring.objects.create(run=run, candidate_ids=ids)
    said = {"model": str(reward_model), "candidates": len(ids)}
    audit.record(actor=actor, project=project, verb="scoring.create", obj=run, data=said)
    return run


def take_scores(*, run: TrainingRun) -> Scoring:
    """Store what a finished run scored, in the transaction that ends the run."""
    scoring = Scoring.objects.get(run=run)
    scoring.scores = read_scores(run.folder)
    scoring.save(update_fields=["scores"])
    return scoring


def read_scores(folder: Path) -> dict[str, list[float]]:
    """Return the lines of scores.jsonl: one score of each member, by a candidate's id."""
    with (folder / rundir.SCORES).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return {row["candidate_id"]: row["scores"] for row in rows}


def ask_first(
    *,
    actor: User | None,
    project: Project,
    prompt_ids: Collection[int],
    candidate_ids: Collection[int],
    scores: Mapping[int, Sequence[float]],
    how: LoopConfig,
    seed: int,
    again: Collection[int] = (),
) -> list[tuple[Comparison, str]]:
    """Queue comparisons of a pool of candidates, each returned with the arm that chose it.

    As many are asked as `replies_per_prompt` replies to each prompt would make; a pool that holds
    no more is asked about whole, by chance. Those of `again` may have been asked about before.
    """
    queue = partial(
        queue_comparisons,
        actor=actor,
        project=project,
        prompt_ids=prompt_ids,
        overlap=how.overlap,
        origin="sampling",
        candidate_ids=candidate_ids,
        again=again,
    )
    if how.pool_factor == 1:
        return [(comparison, RANDOM) for comparison in queue()]
    arms: list[str] = []

    def deal(free: Mapping[int, Sequence[Candidate]]) -> list[list[Candidate]]:
        chosen = _chosen(free, scores, how, project.candidates_per_comparison, seed)
        arms[:] = [one.arm for one in chosen]
        by_id = {one.pk: one for ones in free.values() for one in ones}
        return [[by_id[pk] for pk in one.candidates] for one in chosen]

    return list(zip(queue(deal=deal), arms, strict=True))


def _chosen(
    free: Mapping[int, Sequence[Candidate]],
    scores: Mapping[int, Sequence[float]],
    how: LoopConfig,
    size: int,
    seed: int,
) -> list[Chosen]:
    """Choose as the loop says; chance does where the scores tell its strategy nothing.

    So it is before the first reward model, and where the loop compares members since, but the
    reward model of an earlier round has one.
    """
    share = how.replies_per_prompt // size
    return choose(
        [
            Pool(prompt=prompt, candidates=[one.pk for one in ones], scores=scores)
            for prompt, ones in free.items()
        ],
        strategy=how.strategy if can_choose(how.strategy, scores) else RANDOM,
        count=sum(min(len(ones) // size, share) for ones in free.values()),
        size=size,
        control_share=how.control_share,
        per_prompt=how.comparisons_per_prompt or share,
        seed=seed,
    )
