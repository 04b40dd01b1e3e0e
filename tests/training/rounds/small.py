"""A project and recipes so small that a round of real recipes takes seconds."""

import hashlib
from typing import Any

from labeling.models import Project, Snapshot, User
from labeling.services.assignments import claim_next
from labeling.services.judgements import Submission, submit_judgement
from labeling.services.prompts import ensure_demonstrations
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_project, make_prompts, owner_of
from training.models import TrainingRun
from training.services.runs import create_run

NAME = "seedling"
REPLY = [{"role": "assistant", "content": [{"type": "text", "text": "Gladly, here it is."}]}]
_MACHINE: dict[str, Any] = {"device": "cpu", "threads": 1, "max_length": 128}
_LEARN: dict[str, Any] = {
    **_MACHINE,
    "per_device_batch_size": 4,
    "logging_steps": 1,
    "warmup_ratio": 0.0,
}
SEEDLING: dict[str, Any] = {
    **_LEARN,
    **{"vocab_size": 280, "hidden_size": 16, "layers": 1, "heads": 2, "kv_heads": 1},
    **{"intermediate_size": 16, "max_positions": 128, "max_steps": 2},
}
SMALL: dict[str, dict[str, Any]] = {
    "sample": {**_MACHINE, "max_new_tokens": 8, "batch_size": 16},
    "sft": {**_LEARN, "gradient_accumulation": 1, "max_steps": 2, "eval_steps": 0},
    "reward": {**_LEARN, "gradient_accumulation": 1, "max_steps": 4},
    "dpo": {**_LEARN, "gradient_accumulation": 1, "max_steps": 4, "warmup_steps": 0},
    "ppo": {
        **_LEARN,
        **{"max_new_tokens": 8, "rollout_batch_size": 16, "batch_size": 16, "total_episodes": 32},
    },
    "evaluate": {**_MACHINE, "max_new_tokens": 8, "batch_size": 16},
}
"""What makes each recipe short. How it learns is left to the preset."""


LONG = 4096
"""Positions of a policy that can read what an AI judge is asked: its tokens are hardly bytes."""


def make_small_project(prompts: int = 16, k: int = 2, **settings: Any) -> Project:
    """Return a project with prompts in each of the splits train and validation, and texts."""
    shares = {"validation_share": 0.4, "test_share": 0.0, "candidates_per_comparison": k}
    project = make_project(**{**shares, **settings})
    rows = [(prompt, REPLY) for prompt in make_prompts(project, prompts, candidates=0)]
    ensure_demonstrations(rows=rows)
    return project


def make_seedling_run(project: Project, **changes: Any) -> TrainingRun:
    """Return a queued run that makes the project's first policy from scratch."""
    owner = owner_of(project)
    texts = freeze_snapshot(
        actor=owner, project=project, kind=Snapshot.Kind.DEMONSTRATIONS, note="for the seedling"
    )
    return create_run(
        actor=owner,
        project=project,
        recipe="sft",
        snapshot=texts,
        preset_name="tiny-scratch",
        config={**SEEDLING, **changes},
        name=NAME,
    )


def judge_by_hash(project: Project, person: User | None = None, most: int = 1000) -> int:
    """Have somebody rank what is asked by the texts' hashes; return how many were ranked.

    Whoever ranks the same texts ranks them alike, in whatever order they are shown.
    """
    person, done = person or owner_of(project), 0
    while done < most and (card := claim_next(actor=person, project=project)):
        keys = [hashlib.sha256(one.text.encode()).hexdigest() for one in card.candidates]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        submit_judgement(
            actor=person,
            assignment_uid=card.assignment_uid,
            submission=Submission(tiers=[[n] for n in order], touched=True, active_ms=1000),
            idempotency_key=str(card.assignment_uid),
        )
        done += 1
    return done
