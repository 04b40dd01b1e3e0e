"""One function a method, each its own recipe in a run's folder, and what its policy is worth.

Every method starts from the same SFT policy and, where it needs them, the same judged replies and
the same reward model of its seed. Gold is read here, after the runs.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from bench import methods_settings as settings
from bench.methods_figures import best_of, spread
from bench.methods_runs import evaluated, finished, loss_on
from bench.methods_world import Row, World
from labeling.demo.gold import gold_score
from training import rundir
from training.best_of_n import best_of_kl

ONLINE = ("ppo", "ppo_ptx", "rloo")


# --- a policy by each method ---------------------------------------------------------------------


def preferred_ft(world: World, given: settings.Settings) -> Path:
    """Fine-tune on the replies that nobody ranked below another: each ranking's first tier."""
    return trained(world, "preferred_ft", given, preferred_rows(world.rankings))


def dpo(world: World, given: settings.Settings) -> Path:
    """Optimize from all pairs of the rankings."""
    return trained(world, "dpo", given, world.preferences)


def ppo(world: World, given: settings.Settings) -> Path:
    """Optimize against the reward model."""
    return trained(world, "ppo", given, world.of_split(world.prompts, "train"))


def ppo_ptx(world: World, given: settings.Settings) -> Path:
    """Do as PPO, and keep the unrelated corpus likely: its part that `base` learned from."""
    texts = world.of_split(world.pretraining, "train")
    return trained(world, "ppo_ptx", given, [*world.of_split(world.prompts, "train"), *texts])


def rloo(world: World, given: settings.Settings) -> Path:
    """Optimize against the reward model by REINFORCE, without a value model."""
    return trained(world, "rloo", given, world.of_split(world.prompts, "train"))


POLICIES: dict[str, Callable[[World, settings.Settings], Path]] = {
    "preferred_ft": preferred_ft,
    "dpo": dpo,
    "ppo": ppo,
    "ppo_ptx": ppo_ptx,
    "rloo": rloo,
}


def trained(world: World, method: str, given: settings.Settings, rows: Sequence[Row]) -> Path:
    """Run a method's recipe from the SFT policy and return the folder of the model."""
    return run_of(world, method, given, rows) / rundir.MODEL


def run_of(world: World, method: str, given: settings.Settings, rows: Sequence[Row]) -> Path:
    """Run a method's recipe from the SFT policy and return the run's folder."""
    recipe, shared = settings.SHARED[method]
    models = {"model": world.sft}
    if method in ONLINE:
        models["reward"] = world.reward
    config = {**shared, **given}
    return finished(world, method, recipe, config=config, rows=list(rows), models=models)


def preferred_rows(rankings: Sequence[Row]) -> list[Row]:
    """Return demonstrations of the first tier of each judged comparison that has a second one."""
    return [
        {"prompt": row["prompt"], "completion": row["replies"][place], "split": row["split"]}
        for row in rankings
        if len(row.get("tiers", ())) > 1
        for place in row["tiers"][0]
    ]


# --- what a policy is worth ----------------------------------------------------------------------


def worth(world: World, method: str, policy: Path, split: str) -> Row:
    """Measure a policy by its replies to the prompts, and the loss on the texts, of a split."""
    prompts = world.of_split(world.prompts, split)
    found = evaluated(world, f"{method}-{split}", policy, prompts, settings.REPLIES)
    texts = world.of_split(world.pretraining, split)
    kls = [row["logprob"] - row["reference_logprob"] for row in found]
    return {
        "method": method,
        "seed": world.seed,
        "gold": fmean(golds(found)),
        "reward": fmean(row["reward"] for row in found),
        "kl": fmean(kls),
        "kl_error": spread(kls) / math.sqrt(len(kls)),
        "pretrain_loss": loss_on(world, f"{method}-{split}", policy, texts),
        "words": fmean(len(row["text"].split()) for row in found),
        "ended": fmean(row["ended"] for row in found),
        "replies": len(found),
        "example": found[len(found) // 2]["text"],
    }


def golds(found: Sequence[Row]) -> list[float]:
    """Return the hidden score of each reply."""
    return [gold_score(row["messages"], row["text"]) for row in found]


def best_of_curve(world: World, split: str) -> list[Row]:
    """Return gold, reward and KL of the best of n of the SFT policy's replies, for each n."""
    prompts = world.of_split(world.prompts, split)
    found = evaluated(world, f"bon-{split}", world.sft, prompts, settings.POOL)
    by_prompt: dict[str, list[tuple[float, float]]] = {}
    for row, gold in zip(found, golds(found), strict=True):
        by_prompt.setdefault(row["prompt_id"], []).append((row["reward"], gold))
    return [
        {
            "method": "bon",
            "seed": world.seed,
            "n": n,
            "gold": fmean(best_of(group, n) for group in by_prompt.values()),
            "reward": fmean(best_of([(r, r) for r, _ in group], n) for group in by_prompt.values()),
            "kl": best_of_kl(n),
        }
        for n in settings.BEST_OF
    ]


def far_curve(world: World) -> list[Row]:
    """Return gold, reward and KL of PPO's own replies while it is pushed far, step by step."""
    rows = world.of_split(world.prompts, "train")
    folder = run_of(world, "ppo", settings.FAR, rows)
    steps: dict[int, list[Row]] = {}
    for row in rundir.read_rollouts(folder, settings.FAR["total_episodes"]):
        steps.setdefault(row["step"], []).append(row)
    return [
        {
            "method": "far",
            "seed": world.seed,
            "step": step,
            "gold": fmean(gold_score(row["prompt"], row["text"]) for row in drawn),
            "reward": fmean(row["score"] for row in drawn),
            "kl": fmean(row["kl"] for row in drawn),
        }
        for step, drawn in sorted(steps.items())
    ]
