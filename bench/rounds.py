"""make bench-rounds: three rounds that nobody attends on the demo world, three seeds.

For each seed, in a process and on a database of its own: the demo is seeded without a queue, its
base policy becomes the first one, and the loop turns by itself: `turn_round` moves the state
machine on, `train` brings its runs to their end, five simulated annotators (noise 0.15, one of them
does not look) judge what is asked, and the promotion rule decides. After each round the promoted
policy replies to the prompts that the loop leaves alone, and so did the first: the hidden score
says, outside the loop, which reply of two is better.

The numbers below were chosen on a seed that is not reported (docs/benchmarks.md).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from bench.empty_database import empty_database
from bench.loop import ended, replies
from bench.reporting import finish, machine, say, versions
from labeling.demo.gold import GOLD_VERSION, tiers_of
from labeling.demo.world import WORLD_VERSION
from training import demo_presets

if TYPE_CHECKING:
    from labeling.models import Project, User
    from training.rounds.models import Round

Row = dict[str, Any]

ROUNDS = 3
SEEDS = (1, 2, 3)
ANNOTATORS, CARELESS, NOISE = 5, 1, 0.15
EXPECTED = 0.85
"""What the third round's policy is expected to win against the first one."""

_ONE_THREAD = {"threads": 1}  # the seeds run beside each other
LOOP: Row = {
    # Every prompt that is not held out, in two comparisons of four replies each.
    "prompts": 0,
    "replies_per_prompt": 8,
    "overlap": 1,
    "labels": "round",
    "policy_recipe": "dpo",
    "start": "current",
    "preset": "tiny-cpu",
    "evaluation_replies": 2,
    "promotion": "rule",
    "least_win_rate": 0.5,
    "recipes": {
        "sample": {**demo_presets.SAMPLE_CONFIG, **_ONE_THREAD},
        # Of more labels than the demo has: fewer passes over them.
        "reward": {**demo_presets.REWARD_CONFIG, "epochs": 2.0, **_ONE_THREAD},
        "dpo": {**demo_presets.DPO_CONFIG, "epochs": 2.0, **_ONE_THREAD},
        "evaluate": {
            **{name: demo_presets.SAMPLE_CONFIG[name] for name in ("device", "max_length")},
            **{"max_new_tokens": 64, "batch_size": 128, **_ONE_THREAD},
        },
    },
}


def main() -> None:
    """Measure every seed, all at once, and print a list of figures each."""
    parser = argparse.ArgumentParser(prog="bench.rounds", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[*SEEDS])
    parser.add_argument("--seed", type=int, help="turn this one's rounds in this process")
    parser.add_argument("--into", type=Path, help="where that one's figures are written")
    given = parser.parse_args()
    if given.seed is None:
        say(f"machine: {machine()}")
        report(beside_each_other(given.seeds))
        return
    with empty_database():
        row = three_rounds(given.seed)
    text = json.dumps(row)
    print(text) if given.into is None else given.into.write_text(text, encoding="utf-8")


def beside_each_other(seeds: Sequence[int]) -> list[Row]:
    """Return what each seed came to; raise RuntimeError where one of them failed."""
    with tempfile.TemporaryDirectory(prefix="prefloop-rounds-") as name:
        into = {seed: Path(name) / f"{seed}.json" for seed in seeds}
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "bench.rounds", "--seed", str(seed), "--into", str(path)],
                cwd=Path(__file__).resolve().parent.parent,
            )
            for seed, path in into.items()
        ]
        codes = [process.wait() for process in running]
        if any(codes):
            raise RuntimeError("A seed could not be measured; its lines above say why.")
        return [json.loads(path.read_text(encoding="utf-8")) for path in into.values()]


def report(rows: list[Row]) -> None:
    """Write the result: a list of the seeds' figures for each round, and the labels of a round."""
    rates = {
        f"gold_win_rate_round{nth + 1}": [round(row["rounds"][nth]["won"], 4) for row in rows]
        for nth in range(ROUNDS)
    }
    for name, found in rates.items():
        apart = stdev(found) if len(found) > 1 else 0.0
        say(f"{name}: mean {fmean(found):.3f}, standard deviation over seeds {apart:.3f}")
    last = fmean(rates[f"gold_win_rate_round{ROUNDS}"])
    say(f"after {ROUNDS} rounds {last:.3f}, expected {EXPECTED} or more")
    labels = [round(fmean(row["rounds"][nth]["labels"] for row in rows)) for nth in range(ROUNDS)]
    details = {
        "world": WORLD_VERSION,
        "gold": GOLD_VERSION,
        "loop": LOOP,
        "annotators": {"number": ANNOTATORS, "careless": CARELESS, "noise": NOISE},
        "seeds": rows,
        "versions": versions("torch", "transformers", "trl"),
    }
    finish("bench-rounds", {**rates, "labels_per_round": labels}, details)


def three_rounds(seed: int) -> Row:
    """Seed the demo, turn the loop, and return what each round came to."""
    from django.core.management import call_command

    from labeling.models import Project, User
    from training.management.commands.seed_demo import HELD_OUT
    from training.models import ModelVersion
    from training.rounds.selectors import rounds_of
    from training.rounds.services import configure_loop, promote_model, start_round

    call_command("seed_demo", seed=seed, inline=True, without_queue=True, threads=1)
    project = Project.objects.get(slug="demo")
    owner = User.objects.get(username="owner")
    first = ModelVersion.objects.get(project=project, name="demo-policy")
    promote_model(actor=owner, project=project, model=first)
    config = {**LOOP, "exclude_tags": HELD_OUT}
    configure_loop(actor=owner, project=project, config=config, rounds_ahead=ROUNDS - 1)
    start_round(actor=owner, project=project, seed=seed)
    base = replies(owner, project, first, seed)
    found: list[Row] = []
    for number in range(1, ROUNDS + 1):
        turning = rounds_of(project).get(number=number)
        labels = turned(owner, project, turning, seed)
        found.append(measured(owner, project, turning, base, seed) | labels)
        say(f"seed {seed}, round {number}: {found[-1]}")
    return {"seed": seed, "gold_first": fmean(reply["gold"] for reply in base), "rounds": found}


def turned(owner: "User", project: "Project", round: "Round", seed: int) -> Row:
    """Turn a round to its end; return how many labels it took and how they agree with gold.

    Raises RuntimeError where it gets stuck.
    """
    from labeling.services.simulation import simulate_annotators
    from training.models import TrainingRun
    from training.rounds.services import turn_round

    labels, agreement = 0, 1.0
    while round.is_open:
        started = turn_round(round_id=round.pk)
        for run in TrainingRun.objects.filter(pk__in=started):
            ended(run)
        round.refresh_from_db()
        judged = 0
        if round.state == round.State.LABELLING:
            found = simulate_annotators(
                actor=owner,
                project=project,
                annotators=ANNOTATORS,
                judgements=1_000_000,
                noise=NOISE,
                careless=CARELESS,
                seed=100 * seed + round.number,
            )
            judged, agreement = found.judgements, found.agreement
        if round.is_open and not started and not judged:
            raise RuntimeError(f"{round} stands at {round.state}: {round.problem}")
        labels += judged
    return {"labels": labels, "agreement": agreement}


def measured(owner: "User", project: "Project", round: "Round", base: list[Row], seed: int) -> Row:
    """Return how the policy that is current after a round does against the first one."""
    from training.rounds.models import Promotion
    from training.rounds.selectors import measured_by

    row = Promotion.objects.filter(project=project).select_related("model").order_by("-pk")[0]
    said = measured_by(round)
    own = replies(owner, project, row.model, seed)
    return {
        "promoted": row.round_id == round.pk,
        "policy": str(row.model),
        "gold": fmean(reply["gold"] for reply in own),
        "won": won_against(own, base),
        "won_by_reward_model": said.win_rate.value if said and said.win_rate else None,
        "words": fmean(len(reply["text"].split()) for reply in own),
        "distinct": len({(reply["prompt"], reply["text"]) for reply in own}) / len(own),
        "example": own[0]["text"],
    }


def won_against(own: Sequence[Row], others: Sequence[Row]) -> float:
    """Return the share of pairs of replies to one prompt in which gold prefers one's own.

    Every reply meets every other one to its prompt, and prompts count alike. Replies that gold
    puts on one step are a tie, as for the annotators, and half a win.

    >>> won_against([{"prompt": 1, "gold": 0.9}], [{"prompt": 1, "gold": g} for g in (0.1, 0.91)])
    0.75
    """
    rivals: dict[int, list[float]] = {}
    for reply in others:
        rivals.setdefault(reply["prompt"], []).append(reply["gold"])
    points: dict[int, list[float]] = {}
    for reply in own:
        for rival in rivals[reply["prompt"]]:
            points.setdefault(reply["prompt"], []).append(_point(reply["gold"], rival))
    return fmean(fmean(of_prompt) for of_prompt in points.values())


def _point(own: float, other: float) -> float:
    tiers = tiers_of([own, other])
    return 0.5 if len(tiers) == 1 else float(tiers[0] == [0])


if __name__ == "__main__":
    main()
