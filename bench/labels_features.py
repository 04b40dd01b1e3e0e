"""The side of `bench.labels` that loads torch: what a policy sees in replies, as numbers.

`python -m bench.labels_features <folder>` reads job.json, which names a policy and exchanges, and
leaves features.npy: of each exchange the last layer's state at the reply's end mark and its mean
over the reply's tokens, side by side.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training import rundir
from training.recipes.data import Encoder
from training.recipes.loading import load_policy, load_tokenizer
from training.recipes.scoring import pad_right

BATCH = 64
Features = np.ndarray[Any, np.dtype[np.float32]]


def main() -> None:
    """Leave the features of the job in a folder."""
    folder = Path(sys.argv[1])
    job = rundir.read_json(folder / "job.json")
    np.save(folder / "features.npy", features(Path(job["policy"]), job["exchanges"]))


@torch.no_grad()
def features(path: Path, exchanges: list[tuple[list[dict[str, str]], str]]) -> Features:
    """Return an array of shape (exchanges, twice the width)."""
    tokenizer = load_tokenizer(path)
    policy: Any = load_policy(path, tokenizer)
    policy.train(False)
    encoder = Encoder(tokenizer, int(policy.config.max_position_embeddings))
    texts = [
        encoder.exchange(prompt, [{"role": "assistant", "content": reply}])
        for prompt, reply in exchanges
    ]
    found = np.zeros((len(texts), 2 * int(policy.config.hidden_size)), dtype=np.float32)
    order = sorted(range(len(texts)), key=lambda at: sum(map(len, texts[at])))
    for start in range(0, len(order), BATCH):
        picked = order[start : start + BATCH]
        ids, mask = pad_right(
            [texts[at][0] + texts[at][1] for at in picked], int(tokenizer.pad_token_id)
        )
        states = policy.base_model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        for at, state in zip(picked, states, strict=True):
            head, tail = (len(part) for part in texts[at])
            said = state[head : head + tail]
            found[at] = torch.cat([said[-1], said.mean(0)]).numpy()
    return found


if __name__ == "__main__":
    main()
