"""make bench-loop: one turn of the loop on the demo world, three seeds.

For each seed, on an empty database and through the product's own services and recipes: the demo
is seeded (base policy from scratch, four replies to 120 prompts), simulated annotators judge, the
labels are frozen, a reward model and a DPO policy are trained from them, and base and DPO reply to
the prompts that were kept from demonstrations and labels, under the same length cap. The hidden
score is read here, after the runs; no recipe sees it.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from bench.empty_database import empty_database
from bench.reporting import finish, machine, say, versions

if TYPE_CHECKING:
    from labeling.models import Project, User
    from training.models import ModelVersion, TrainingRun

JUDGEMENTS = 300
ANNOTATORS = 3
NOISE = 0.1
HELD_OUT_REPLIES = 8
BASE_RANGE = (0.4, 0.6)
"""Where the base policy's mean must lie, or there is too little to learn or to lose."""
EXPECTED_ACCURACY, EXPECTED_GAIN = 0.8, 0.15

# Scores come from a process of its own: this one has the web framework loaded, and no torch.
_SCORE = """
import json, sys
from pathlib import Path
from training.recipes.scoring import score
exchanges = [(messages, reply) for messages, reply in json.load(sys.stdin)]
print(json.dumps(score(Path(sys.argv[1]), exchanges)))
"""


def main() -> None:
    """Measure every seed and print the means."""
    parser = argparse.ArgumentParser(prog="bench.loop", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    seeds = parser.parse_args().seeds
    say(f"machine: {machine()}")
    with empty_database():
        from django.core.management import call_command

        rows = []
        for seed in seeds:
            call_command("flush", verbosity=0, interactive=False)
            rows.append(one_turn(seed))
    report(rows)


def report(rows: list[dict[str, Any]]) -> None:
    """Write the result; end with 1 where a base policy is outside the range the world promises."""
    from labeling.demo.gold import GOLD_VERSION
    from labeling.demo.world import WORLD_VERSION

    names = ("rm_accuracy", "gold_base", "gold_dpo")
    summary = {name: round(fmean(row[name] for row in rows), 4) for name in names}
    spread = {
        name: round(stdev(r[name] for r in rows), 4) if len(rows) > 1 else 0 for name in names
    }
    gain = summary["gold_dpo"] - summary["gold_base"]
    say(f"standard deviation over seeds: {spread}")
    say(f"accuracy {summary['rm_accuracy']:.3f}, expected {EXPECTED_ACCURACY} or more")
    say(f"gain {gain:.3f}, expected {EXPECTED_GAIN} or more")
    details = {
        "world": WORLD_VERSION,
        "gold": GOLD_VERSION,
        "spread": spread,
        "seeds": rows,
        "versions": versions("torch", "transformers", "trl"),
    }
    finish("bench-loop", summary, details)
    outside = [r["seed"] for r in rows if not BASE_RANGE[0] <= r["gold_base"] <= BASE_RANGE[1]]
    if outside:
        print(f"seeds {outside}: the base policy is outside {BASE_RANGE}", file=sys.stderr)
        sys.exit(1)


def one_turn(seed: int) -> dict[str, Any]:
    """Turn the loop once from an empty database and return what was measured."""
    from django.core.management import call_command

    from labeling.demo.gold import GOLD_VERSION
    from labeling.demo.world import WORLD_VERSION
    from labeling.models import Project, User
    from labeling.services.simulation import simulate_annotators
    from labeling.services.snapshots import freeze_snapshot
    from training import demo_presets
    from training.models import ModelVersion

    say(f"seed {seed}: world {WORLD_VERSION[:12]}, gold {GOLD_VERSION[:12]}")
    call_command("seed_demo", seed=seed, inline=True)
    project = Project.objects.get(slug="demo")
    owner = User.objects.get(username="owner")
    base = ModelVersion.objects.get(project=project, name="demo-policy")
    labels = simulate_annotators(
        actor=owner,
        project=project,
        annotators=ANNOTATORS,
        judgements=JUDGEMENTS,
        noise=NOISE,
        seed=seed,
    )
    snapshot = freeze_snapshot(actor=owner, project=project, note=f"seed {seed}")
    say(f"seed {seed}: {labels.judgements} judgements, agreement with gold {labels.agreement:.3f}")
    reward = trained(owner, project, "reward", base, snapshot, demo_presets.REWARD_CONFIG, seed)
    dpo = trained(owner, project, "dpo", base, snapshot, demo_presets.DPO_CONFIG, seed)
    base_replies = replies(owner, project, base, seed)
    dpo_replies = replies(owner, project, dpo, seed)
    row = {
        "seed": seed,
        "judgements": labels.judgements,
        "label_agreement": labels.agreement,
        "pairs": snapshot.counts["pairs"],
        "rm_accuracy": accuracy(reward, base_replies),
        "gold_base": fmean(reply["gold"] for reply in base_replies),
        "gold_dpo": fmean(reply["gold"] for reply in dpo_replies),
        "words_base": fmean(len(reply["text"].split()) for reply in base_replies),
        "words_dpo": fmean(len(reply["text"].split()) for reply in dpo_replies),
        "runs_s": run_seconds(),
        "examples": [r["text"] for r in dpo_replies[:: len(dpo_replies) // 5]],
    }
    shown = {name: round(row[name], 3) for name in ("rm_accuracy", "gold_base", "gold_dpo")}
    say(f"seed {seed}: {shown}")
    return row


def trained(
    owner: "User",
    project: "Project",
    recipe: str,
    base: "ModelVersion",
    snapshot: Any,
    config: dict[str, Any],
    seed: int,
) -> "ModelVersion":
    """Train one model through the product's own task, in this process, and return it."""
    from training.models import ModelVersion
    from training.services.runs import create_run

    run = create_run(
        actor=owner,
        project=project,
        recipe=recipe,
        snapshot=snapshot,
        base_model=base,
        config=config,
        seed=seed,
    )
    return ModelVersion.objects.get(run=ended(run))


def ended(run: "TrainingRun") -> "TrainingRun":
    """Bring a run to its end; raise RuntimeError where it does not succeed."""
    from training.tasks import train

    train(run.pk)
    run.refresh_from_db()
    if run.state != "succeeded":
        raise RuntimeError(f"{run} ended as {run.state}: {run.error}\n{run.log_tail}")
    say(f"  {run.recipe} done: {run.result.get('metrics', {})}")
    return run


def replies(
    owner: "User", project: "Project", model: "ModelVersion", seed: int
) -> list[dict[str, Any]]:
    """Sample a policy on the held-out prompts and score each reply by gold, outside the run."""
    from labeling.demo.gold import gold_score
    from labeling.domain.content import plain_messages, reply_text
    from labeling.models import CandidateSource
    from training import demo_presets
    from training.management.commands.seed_demo import HELD_OUT
    from training.services.sampling import create_sampling_run

    run = create_sampling_run(
        actor=owner,
        project=project,
        model=model,
        config={**demo_presets.SAMPLE_CONFIG, "candidates_per_prompt": HELD_OUT_REPLIES},
        seed=seed,
        tags=[HELD_OUT],
        queue=False,
    )
    ended(run)
    found = []
    sources = CandidateSource.objects.filter(sampled__sampling_run__run=run)
    for source in sources.select_related("candidate__prompt"):
        messages = plain_messages(source.candidate.prompt.messages)
        text = reply_text(source.candidate.messages)
        score = gold_score(messages, text)
        found.append(
            {
                "prompt": source.candidate.prompt_id,
                "messages": messages,
                "text": text,
                "gold": score,
            }
        )
    return found


def accuracy(reward: "ModelVersion", replies: list[dict[str, Any]]) -> float:
    """Return the share of pairs of one prompt that the reward model puts as gold does.

    Pairs that gold holds for a tie are left out; a repeated reply counts once.
    """
    from labeling.demo.gold import agreeing_pairs
    from labeling.domain.rankings import tiers_from_ranks

    distinct = list({(reply["prompt"], reply["text"]): reply for reply in replies}.values())
    done = subprocess.run(
        [sys.executable, "-c", _SCORE, str(reward.folder)],
        input=json.dumps([(reply["messages"], reply["text"]) for reply in distinct]),
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
        check=True,
    )
    by_prompt: dict[int, list[tuple[float, float]]] = {}
    for reply, score in zip(distinct, json.loads(done.stdout.splitlines()[-1]), strict=True):
        by_prompt.setdefault(reply["prompt"], []).append((score, reply["gold"]))
    counts = [
        agreeing_pairs(
            tiers_from_ranks([-score for score, _ in group]), [gold for _, gold in group]
        )
        for group in by_prompt.values()
    ]
    return sum(agreeing for agreeing, _ in counts) / sum(put for _, put in counts)


def run_seconds() -> dict[str, float]:
    """Return how long each run took, from its claim to its end."""
    from training.models import TrainingRun

    return {
        f"{run.recipe} {run.name}".strip(): (run.finished_at - run.started_at).total_seconds()
        for run in TrainingRun.objects.order_by("id")
        if run.finished_at and run.started_at
    }


if __name__ == "__main__":
    main()
