"""The side of bench.train_ppo that loads torch: `python -m bench.train_ppo_replies <task> <job>
<answer>`, all but the task files of JSON.

`ids` tells the prompts as token ids. `replies` lets policies reply to prompts, each policy by the
same random numbers, and tells each reply's text and its log-probability over the reference's.
"""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from training.recipes.actors import collate, log_probabilities, put_back, trained
from training.recipes.data import Encoder, Ids
from training.recipes.loading import load_policy, load_tokenizer
from training.recipes.rollouts import CachedRoller, stream_seed

CPU = torch.device("cpu")
BATCH = 128
PART = 32


def main() -> None:
    """Do the task."""
    task, question, answer = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    job = json.loads(question.read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    found = {"ids": ids, "replies": replies}[task](job)
    answer.write_text(json.dumps(found), encoding="utf-8")


def ids(job: dict[str, Any]) -> list[Ids]:
    """The prompts as both sides read them."""
    encoder = Encoder(load_tokenizer(Path(job["policy"])), job["max_length"])
    return [encoder.prompt(messages) for messages in job["prompts"]]


def replies(job: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """For each of `weights` (None is the reference itself) its replies, so many a prompt."""
    tokenizer = load_tokenizer(Path(job["policy"]))
    reference: Any = load_policy(Path(job["policy"]), tokenizer).train(False)
    policy: Any = load_policy(Path(job["policy"]), tokenizer).train(False)
    roller = CachedRoller(
        policy,
        tokenizer,
        temperature=1.0,
        max_new_tokens=job["max_new_tokens"],
        batch_size=BATCH,
        autocast=nullcontext,
    )
    prompts = [one for one in ids(job) for _ in range(job["replies"])]
    seeds = [stream_seed(job["seed"], "held-out", at) for at in range(len(prompts))]
    start = {name: weight.clone() for name, weight in trained(policy).items()}
    found = []
    for file in job["weights"]:
        put_back(trained(policy), load_file(file) if file else start)
        drawn = roller.roll(prompts, seeds)
        gaps = kls(policy, reference, prompts, drawn, int(tokenizer.pad_token_id))
        texts = tokenizer.batch_decode(drawn, skip_special_tokens=True)
        found.append([{"text": t, "kl": kl} for t, kl in zip(texts, gaps, strict=True)])
    return found


@torch.no_grad()
def kls(
    policy: Any, reference: Any, prompts: Sequence[Ids], drawn: Sequence[Ids], pad: int
) -> list[float]:
    """Of each reply `log pi - log ref`, in nats: its mean over replies is the sampled KL."""
    order = sorted(range(len(drawn)), key=lambda at: len(prompts[at]) + len(drawn[at]))
    found = [0.0] * len(drawn)
    for start in range(0, len(order), PART):
        picked = order[start : start + PART]
        batch = collate([prompts[at] for at in picked], [drawn[at] for at in picked], pad, CPU)
        own, base = (log_probabilities(model, batch, 1.0) for model in (policy, reference))
        for at, gap in zip(picked, (own - base).sum(1).tolist(), strict=True):
            found[at] = gap
    return found


if __name__ == "__main__":
    main()
