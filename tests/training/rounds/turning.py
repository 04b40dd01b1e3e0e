"""A project whose loop can turn within a test: prompts, a first policy, and whoever answers."""

from pathlib import Path
from typing import Any

import pytest

from labeling.models import Comparison, Project
from labeling.services.assignments import claim_next
from labeling.services.judgements import Submission, submit_judgement
from tests.factories import make_project, make_prompt, owner_of
from tests.training.factories import HEAD, make_model, use_recipe
from training import tasks
from training.models import TrainingRun
from training.rounds.models import Round
from training.rounds.services import configure_loop, promote_model, start_round

# A program in place of every recipe: it replies where it is to sample, else it leaves a model.
PLAYS_ALL = (
    HEAD
    + """
count = head["config"].get("candidates_per_prompt", 0)
if head["recipe"] == "sample":
    with (folder / rundir.SAMPLES).open("w") as file:
        for line in (folder / rundir.DATA).read_text().splitlines():
            prompt = json.loads(line)["prompt_id"]
            for n in range(count):
                text = f"{Path(head['inputs']['model']['path']).name} {head['seed']} {n}"
                file.write(json.dumps({"prompt_id": prompt, "candidate": n, "seed": n,
                    "text": text, "finish_reason": "stop"}) + "\\\\n")
    end("succeeded", 6)
if head["recipe"] == "revise":
    rows = [json.loads(line) for line in (folder / rundir.DATA).read_text().splitlines()]
    key = rows[0]["principle"]["key"]
    def text(words):
        return {"text": words, "finish_reason": "stop", "tokens": 3, "logprob": -1.0, "seed": 1}
    with (folder / rundir.REVISIONS).open("w") as file:
        for row in rows:
            if "prompt" in row:
                chain = {"principle": key, "critique": text("harsh"),
                    "revision": text(f"gentler {head['seed']}")}
                file.write(json.dumps({"prompt_id": row["prompt_id"], "reply": text("rude"),
                    "rounds": [chain], "dropped": None}) + "\\\\n")
    end("succeeded", 6)
if head["recipe"] == "judge":
    with (folder / rundir.JUDGEMENTS).open("w") as file:
        for line in (folder / rundir.DATA).read_text().splitlines():
            row = json.loads(line)
            count = len(row["replies"])
            pairs = [{"first": a, "second": b, "soft": 0.75, "lean": 0.3, "consistent": True}
                     for a in range(count) for b in range(a + 1, count)]
            file.write(json.dumps({"comparison_id": row["comparison_id"], "pairs": pairs,
                "tiers": [[n] for n in range(count)], "mass": 0.9, "reasons": [],
                "principle": row["principle"], "left_out": None}) + "\\\\n")
    end("succeeded", 6)
if head["recipe"] == "score":
    with (folder / rundir.SCORES).open("w") as file:
        for line in (folder / rundir.DATA).read_text().splitlines():
            name = json.loads(line)["candidate_id"]
            scores = [int(name) % 7, int(name) % 5 - 2]
            file.write(json.dumps({"candidate_id": name, "scores": scores}) + "\\n")
    end("succeeded", 6)
if head["recipe"] == "evaluate":
    even = {"value": 0.5, "low": 0.4, "high": 0.6}
    won = {"value": WON, "low": WON - 0.1, "high": WON + 0.1}
    rundir.write_json_atomic(folder / rundir.RESULT, {
        "status": "succeeded", "steps": 6, "total_steps": 6, "metrics": {}, "model": None,
        "evaluation": {"prompts": 3, "policy": {"kl": even, "reward": even, "length": even},
                       "wins": {"reward": won}, "best_of": []}})
    sys.exit(0)
place = folder / rundir.MODEL
place.mkdir()
(place / "model.safetensors").write_text(head["run_id"])
(place / "config.json").write_text("{}")
kind = "reward" if head["recipe"] == "reward" else "policy"
end("succeeded", 6, {"path": str(place), "sha256": rundir.weights_sha256(place), "kind": kind})
"""
).replace("\\\\n", "\\n")
LOOP: dict[str, Any] = {"preset": "tiny-cpu", "replies_per_prompt": 4, "prompts": 0}


def make_loop(prompts: int = 12, rounds_ahead: int = 0, **changes: Any) -> Project:
    """Return a project with a configured loop and a first policy, but no round."""
    project = make_project(validation_share=0.0, test_share=0.0)
    for _ in range(prompts):
        make_prompt(project, candidates=0)
    # From here on every other prompt is held out, so that there is something to evaluate on.
    Project.objects.filter(pk=project.pk).update(validation_share=0.5)
    project.refresh_from_db()
    owner = owner_of(project)
    promote_model(actor=owner, project=project, model=make_model(project, name="policy"))
    configure_loop(
        actor=owner, project=project, config={**LOOP, **changes}, rounds_ahead=rounds_ahead
    )
    return project


def begin(project: Project) -> Round:
    """Start the project's next round."""
    return start_round(actor=owner_of(project), project=project)


def turn(round: Round) -> Round:
    """Move all rounds on as beat does, and bring the runs that wait to their end."""
    tasks.turn_rounds()
    for run in TrainingRun.objects.filter(state=TrainingRun.State.QUEUED).order_by("pk"):
        tasks.train(run.pk)
    round.refresh_from_db()
    return round


def turn_until(round: Round, state: str, most: int = 12) -> Round:
    """Move a round on until it stands in that state."""
    for _ in range(most):
        if turn(round).state == state:
            return round
    raise AssertionError(f"{round} stands at {round.state}: {round.problem}")


def judge(project: Project, most: int = 1000) -> int:
    """Have the owner judge what is asked, at most so much; return how much that was."""
    owner, done = owner_of(project), 0
    while done < most and (card := claim_next(actor=owner, project=project)):
        submit_judgement(
            actor=owner,
            assignment_uid=card.assignment_uid,
            submission=Submission(
                tiers=[[n] for n in range(len(card.candidates))], touched=True, active_ms=2000
            ),
            idempotency_key=str(card.assignment_uid),
        )
        done += 1
    return done


def asked(round: Round) -> list[Comparison]:
    """Return what the round asks about."""
    return list(Comparison.objects.filter(asked_by_round__round=round).order_by("pk"))


def play(
    monkeypatch: pytest.MonkeyPatch, folder: Path, script: str = PLAYS_ALL, won: float = 0.8
) -> None:
    """Let the launcher start that program in place of the recipes; bells ring for nobody.

    Evaluations find that the new policy wins that share.
    """
    use_recipe(monkeypatch, folder, script, WON=won)
    monkeypatch.setattr(tasks, "ring", lambda run_id: None)
