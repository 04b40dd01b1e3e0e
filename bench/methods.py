"""make bench-methods: the methods beside each other on the demo world, three seeds.

Every method starts from the same world of its seed (bench/methods_world.py) and runs as its own
recipe, in a folder that is kept: a bench that was stopped goes on. Numbers were chosen on the
validation prompts of one seed (bench/methods_settings.py); what is printed is measured on the test
prompts of all, which served for nothing else.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean
from typing import Any

from bench import methods_settings as settings
from bench.methods_figures import kept_share, spread
from bench.methods_page import write_page
from bench.methods_policies import POLICIES, best_of_curve, far_curve, worth
from bench.methods_world import Row, World, world_of
from bench.reporting import finish, machine, say, versions
from training import rundir

AT_ONCE = 2
SEEDS = (1, 2, 3)
METHODS = ("base", "sft", "preferred_ft", "bon", "dpo", "ppo", "ppo_ptx", "rloo")
# The longest first, so that two at a time end together.
ORDER = ("far", "ppo_ptx", "ppo", "rloo", "bon", "dpo", "preferred_ft", "sft", "base")


def main() -> None:
    """Measure every method on every seed and print the table, or tune."""
    parser = argparse.ArgumentParser(prog="bench.methods", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[*SEEDS])
    parser.add_argument("--tune", action="store_true", help="measure the grids anew instead")
    given = parser.parse_args()
    say(f"machine: {machine()}")
    if given.tune:
        tune(world_of(settings.TUNED_ON))
    else:
        report(compare(given.seeds), given.seeds)


# --- measuring -----------------------------------------------------------------------------------


def compare(seeds: Sequence[int]) -> list[Row]:
    """Measure every method on the test prompts of every seed."""
    worlds = [world_of(seed) for seed in seeds]
    jobs = [(world, method) for method in ORDER for world in worlds]
    return [row for rows in at_once(lambda job: measure(*job), jobs) for row in rows]


def measure(world: World, method: str) -> list[Row]:
    """Return what a method came to on the test prompts: a row, or one for each point of a curve."""
    if method == "far":
        return far_curve(world)
    if method == "bon":
        return best_of_curve(world, "test")
    if method in POLICIES:
        policy = POLICIES[method](world, settings.chosen(method, settings.tuned()))
    else:
        policy = {"base": world.base, "sft": world.sft}[method]
    return [worth(world, method, policy, "test")]


def at_once(do: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
    """Do all jobs, a few at a time; each waits for a process of its own."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(do, jobs))


# --- tuning --------------------------------------------------------------------------------------


def tune(world: World) -> None:
    """Measure every setting of the grids on validation prompts and write the table."""
    first = {"method": "sft", "settings": {}, **_kept(worth(world, "sft", world.sft, "validation"))}
    rows = [first, *_best_of_rows(world)]
    plain = [(m, given) for m in POLICIES if m != "ppo_ptx" for given in settings.GRIDS[m]]
    rows += at_once(lambda job: _tried(world, *job), plain)
    from_ppo = settings.chosen("ppo", rows)
    grid = settings.GRIDS["ppo_ptx"]
    rows += at_once(lambda given: _tried(world, "ppo_ptx", given, beside=from_ppo), grid)
    found = {"seed": world.seed, "prompts": "validation", "replies": settings.REPLIES, "rows": rows}
    rundir.write_json_atomic(settings.TUNED, found)
    for method in settings.GRIDS:
        say(f"{method}: {settings.chosen(method, rows)}")


def _best_of_rows(world: World) -> list[Row]:
    tried = {given["n"] for given in settings.GRIDS["bon"]}
    return [
        {"method": "bon", "settings": {"n": row["n"]}, **_kept(row)}
        for row in best_of_curve(world, "validation")
        if row["n"] in tried
    ]


def _tried(
    world: World, method: str, given: settings.Settings, beside: settings.Settings | None = None
) -> Row:
    """Return what a setting came to; `beside` are numbers that were chosen before."""
    policy = POLICIES[method](world, {**(beside or {}), **given})
    row = {"method": method, "settings": given, **_kept(worth(world, method, policy, "validation"))}
    say(f"  {row}")
    return row


def _kept(row: Row) -> Row:
    """Return the figures of a row that the table of tuning holds."""
    names = ("gold", "reward", "kl", "pretrain_loss")
    return {name: round(row[name], 4) for name in names if name in row}


# --- telling -------------------------------------------------------------------------------------


def report(rows: list[Row], seeds: Sequence[int]) -> None:
    """Print the table, write the result, and end with the lists.

    The page in docs is written by a run of all seeds alone.
    """
    n = settings.chosen("bon", settings.tuned())["n"]
    table = {method: _of_method(rows, method, n) for method in METHODS}
    for method, found in table.items():
        gold, kl = [r["gold"] for r in found], [r["kl"] for r in found]
        say(
            f"{method:13} gold {fmean(gold):6.3f} +- {spread(gold):.3f}"
            f"   KL {fmean(kl):6.2f} +- {spread(kl):.2f}"
        )
    losses = {name: [r["pretrain_loss"] for r in table[name]] for name in ("sft", "ppo", "ppo_ptx")}
    shares = [kept_share(*of_seed) for of_seed in zip(*losses.values(), strict=True)]
    say(f"PPO-ptx spares of what PPO loses on the unrelated corpus: {shares}")
    summary = {f"gold_{m}": _rounded(r["gold"] for r in table[m]) for m in METHODS if m != "base"}
    summary |= {f"kl_{m}": _rounded(r["kl"] for r in table[m]) for m in ("dpo", "ppo")}
    summary |= {f"pretrain_loss_{name}": _rounded(found) for name, found in losses.items()}
    details = {
        "seeds": list(seeds),
        "best_of": n,
        "spared": shares,
        "settings": {m: settings.chosen(m, settings.tuned()) for m in settings.GRIDS},
        "rows": rows,
        "versions": versions("torch", "transformers", "trl"),
    }
    if tuple(seeds) == SEEDS:
        write_page(table, rows, settings.tuned())
    finish("bench-methods", summary, details)


def _of_method(rows: Sequence[Row], method: str, n: int) -> list[Row]:
    """Return a method's rows by seed; of best-of-n the row of the chosen n."""
    found = [r for r in rows if r["method"] == method and r.get("n", n) == n]
    return sorted(found, key=lambda row: row["seed"])


def _rounded(values: Any) -> list[float]:
    return [round(value, 4) for value in values]


if __name__ == "__main__":
    main()
