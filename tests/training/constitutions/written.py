"""Constitutions and revising runs for tests, and folders as the recipe leaves them."""

import json
from typing import Any

from labeling.models import Project
from tests.factories import make_prompt, owner_of
from tests.training.factories import make_model
from training import rundir
from training.constitutions.models import ConstitutionVersion
from training.constitutions.selectors import latest_version
from training.constitutions.services import publish_constitution, start_revising, take_revisions
from training.models import TrainingRun

TEXT = """principles:
  - key: harm
    critique: What hurts?
    revision: Write it kindly.
    comparison: Which is kinder?
  - key: truth
    critique: What is wrong?
    revision: Correct it.
    comparison: Which is true?
"""


def make_constitution(
    project: Project, name: str = "ours", text: str = TEXT
) -> ConstitutionVersion:
    """Return a published version."""
    return publish_constitution(actor=owner_of(project), project=project, name=name, text=text)


def make_revising_run(project: Project, prompts: int = 2, **fields: Any) -> TrainingRun:
    """Return a queued run that revises, its prompts, model and constitution made at need."""
    for _ in range(prompts):
        make_prompt(project, candidates=0)
    fields["model"] = fields.get("model") or make_model(project)
    latest = latest_version(project, "ours") or make_constitution(project)
    fields["constitution"] = fields.get("constitution") or latest
    fields.setdefault("preset_name", "tiny-cpu")
    return start_revising(actor=owner_of(project), project=project, **fields)


def text_of(words: str, **changes: Any) -> dict[str, Any]:
    """One text as the recipe writes it."""
    return {
        **{"text": words, "finish_reason": "stop", "tokens": 3},
        **{"logprob": -1.0, "model_logprob": -1.0, "seed": 7},
        **changes,
    }


def chain_of(prompt: int, *revisions: str, dropped: dict[str, Any] | None = None) -> dict[str, Any]:
    """A line of revisions.jsonl."""
    rounds = [
        {
            "principle": ("harm", "truth")[nth % 2],
            "critique": text_of(f"critique {nth} <script>"),
            "revision": text_of(words),
        }
        for nth, words in enumerate(revisions)
    ]
    return {
        **{"prompt_id": str(prompt), "reply": text_of("a rude <b>reply</b>")},
        **{"rounds": rounds, "dropped": dropped},
    }


def leave(run: TrainingRun, rows: list[dict[str, Any]]) -> None:
    """Write the run's revisions into its folder."""
    run.folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (run.folder / rundir.REVISIONS).write_text(lines)


def take_some(run: TrainingRun, rounds: int = 2) -> TrainingRun:
    """Let the run end with one whole chain for each of its prompts."""
    names = [f"revision {nth}" for nth in range(rounds)]
    leave(run, [chain_of(pk, *names) for pk in run.revising.prompt_ids])
    take_revisions(run=run)
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded")
    run.refresh_from_db()
    return run
