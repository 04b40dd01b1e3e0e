"""What an evaluation says, from the lines of evaluations.jsonl: pure figures with intervals.

A line is one reply, `by` the policy or the baseline; docs/run-protocol.md describes it. All
intervals are of 95 % and know that the replies to one prompt go together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from math import log
from statistics import fmean, pstdev
from typing import Any

from labeling.domain.agreement import Share, Tally
from training.best_of_n import best_of_curve, best_of_kl
from training.estimates import Estimate, clustered_mean, clustered_ratio
from training.length_control import Match, length_controlled

EXAMPLES = 8

Line = Mapping[str, Any]
Told = dict[str, Any]


def report_of(lines: Sequence[Line]) -> Told:
    """The whole report; ValueError for fewer than two prompts."""
    policy, baseline = _by(lines, "policy"), _by(lines, "baseline")
    found: Told = {
        "prompts": len(_grouped(policy)),
        "replies": len(policy),
        "policy": measures(policy),
        "baseline": measures(baseline) if baseline else None,
        "wins": {},
        "unjudged": sum("judged" in line and line["judged"] is None for line in policy),
        "best_of": best_of_rows(policy),
        "examples": examples_of(policy, baseline),
    }
    if baseline:
        found["wins"]["reward"] = won_by_reward(policy, baseline)
    judged = [line for line in policy if line.get("judged")]
    if judged:
        found["wins"]["judge"] = won_by_judge(judged)
    return found


def _by(lines: Iterable[Line], who: str) -> list[Line]:
    return [line for line in lines if line["by"] == who]


def _grouped(lines: Iterable[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line["prompt_id"], []).append(line)
    return found


def measures(lines: Sequence[Line]) -> Told:
    """What the replies of one policy are like, each figure with its interval.

    Reward, KL to the reference (k1, and k3, which is never below 0, both summed over a reply and in
    nats), entropy a token in nats, length in tokens with its standard deviation, and the share of
    replies that did not end by themselves.
    """

    def mean(value: Callable[[Line], float]) -> Told:
        return asdict(clustered_mean((line["prompt_id"], value(line)) for line in lines))

    entropy = clustered_ratio(
        (line["prompt_id"], line["entropy"], line["tokens"]) for line in lines
    )
    cut = Tally()
    for replies in _grouped(lines).values():
        cut.add(sum(not line["ended"] for line in replies), len(replies))
    found = {
        "reward": mean(lambda line: line["reward"]),
        "kl": mean(lambda line: line["logprob"] - line["reference_logprob"]),
        "kl_k3": mean(lambda line: line["kl_k3"]),
        "entropy": asdict(entropy),
        "length": {
            **mean(lambda line: line["tokens"]),
            "deviation": pstdev(line["tokens"] for line in lines),
        },
        "without_end": share(cut),
    }
    if "rewards" in lines[0]:
        found["disagreement"] = mean(lambda line: pstdev(line["rewards"]))
    return found


def share(tally: Tally) -> Told:
    """A share with its interval, as the report holds it; ValueError where nothing was counted."""
    found = tally.share()
    if found is None:
        raise ValueError("There is nothing of which this could be a share.")
    return _share(found)


def _share(found: Share) -> Told:
    return {"value": found.value, "low": found.low, "high": found.high, "pairs": found.pairs}


def won_by_reward(policy: Sequence[Line], baseline: Sequence[Line]) -> Told:
    """How often a reply of the policy scores above one of the baseline's; a tie is half a win.

    Every reply of the one is held against every reply of the other to the same prompt: the mean
    over all pairs is the unbiased estimate with the least variance (Mann and Whitney's U).
    """
    others, tally, ties = _grouped(baseline), Tally(), 0
    matches: list[Match] = []
    for name, replies in _grouped(policy).items():
        pairs = [(one, other) for one in replies for other in others.get(name, ())]
        won = [_won(one["reward"], other["reward"]) for one, other in pairs]
        tally.add(sum(won), len(won))
        ties += sum(value == 0.5 for value in won)
        matches += _matches(name, pairs, won)
    return {**share(tally), "ties": ties, "length_controlled": _estimate(matches)}


def _won(one: float, other: float) -> float:
    return 0.5 if one == other else float(one > other)


def _matches(
    name: str, pairs: Iterable[tuple[Line, Line]], won: Iterable[float]
) -> Iterable[Match]:
    for (one, other), value in zip(pairs, won, strict=True):
        yield Match(cluster=name, won=value, longer=log(one["tokens"] / other["tokens"]))


def _estimate(matches: Sequence[Match]) -> Told | None:
    found: Estimate | None = length_controlled(matches)
    return asdict(found) if found else None


def won_by_judge(policy: Sequence[Line]) -> Told:
    """How surely the judge holds the policy's replies for the better ones, on the average.

    A pair counts by the probability that the policy's reply is better, averaged over both orders
    (2309.00267, 3.1). `position_bias` is how much likelier a reply wins where it stands first, and
    `consistent` the share of pairs of which both orders say the same.
    """
    tally, alike, bias = Tally(), Tally(), []
    matches: list[Match] = []
    for name, lines in _grouped(policy).items():
        verdicts = [line["judged"] for line in lines]
        won = [fmean((said["first"], said["second"])) for said in verdicts]
        tally.add(sum(won), len(won))
        same = [(said["first"] > 0.5) == (said["second"] > 0.5) for said in verdicts]
        alike.add(sum(same), len(same))
        bias += [(name, said["first"] - said["second"]) for said in verdicts]
        matches += [
            Match(cluster=name, won=value, longer=log(line["tokens"] / said["against_tokens"]))
            for value, line, said in zip(won, lines, verdicts, strict=True)
        ]
    lean = asdict(clustered_mean(bias)) if len({name for name, _ in bias}) > 1 else None
    told = {"position_bias": lean, "consistent": share(alike)}
    return {**share(tally), "length_controlled": _estimate(matches), **told}


def best_of_rows(policy: Sequence[Line]) -> list[Told]:
    """The reward of the best of n replies, with the KL of choosing it to the policy itself."""
    scores = {name: [line["reward"] for line in lines] for name, lines in _grouped(policy).items()}
    return [{"n": n, "kl": best_of_kl(n), **asdict(found)} for n, found in best_of_curve(scores)]


def examples_of(policy: Sequence[Line], baseline: Sequence[Line]) -> list[Told]:
    """Replies to be read: the first to each of some prompts, from the shortest to the longest.

    Each with the baseline's first reply beside it, so that nobody has picked what is shown.
    """
    others = {line["prompt_id"]: line for line in reversed(baseline)}
    firsts = list({line["prompt_id"]: line for line in reversed(policy)}.values())[::-1]
    last = min(EXAMPLES, len(firsts)) - 1
    picked = [firsts[round(place * (len(firsts) - 1) / max(last, 1))] for place in range(last + 1)]
    return [
        {
            "prompt_id": line["prompt_id"],
            "policy": _shown(line),
            "baseline": _shown(others[line["prompt_id"]]) if others else None,
        }
        for line in picked
    ]


def _shown(line: Line) -> Told:
    kl = line["logprob"] - line["reference_logprob"]
    return {**{name: line[name] for name in ("text", "reward", "tokens", "ended")}, "kl": kl}


class Sums:
    """Running sums over the policy's replies, so that a step costs no more late in a run."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self._replies = 0
        self._sums: defaultdict[str, float] = defaultdict(float)
        self.add(lines)

    def add(self, lines: Iterable[Line]) -> None:
        """Count further lines; the baseline's are passed over."""
        for line in _by(lines, "policy"):
            self._replies += 1
            self._sums["kl"] += line["logprob"] - line["reference_logprob"]
            self._sums["cut"] += not line["ended"]
            for name in ("reward", "logprob", "kl_k3", "entropy", "tokens"):
                self._sums[name] += line[name]

    def metrics(self) -> dict[str, float]:
        """Means over what was counted, under the names of PPO's own metrics; {} before a reply."""
        if not self._replies:
            return {}
        mean = {name: value / self._replies for name, value in self._sums.items()}
        return {
            "objective/scores": mean["reward"],
            "objective/kl": mean["kl"],
            "objective/kl_k3": mean["kl_k3"],
            "objective/entropy": -mean["logprob"],
            "policy/entropy_avg": mean["entropy"] / mean["tokens"],
            "val/length": mean["tokens"],
            "val/share_without_eos": mean["cut"],
        }
