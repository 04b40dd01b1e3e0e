"""Replies drawn with a cache: the same in any batch, and as likely as the policy says."""

from contextlib import nullcontext
from functools import partial

import pytest
import torch

from tests.training.recipes.conftest import Chain, prompts
from training.recipes.data import Encoder
from training.recipes.loading import load_policy, load_tokenizer
from training.recipes.rollouts import CachedRoller, draw, end_marks, stream_seed


def test_draw_inverts_the_cumulative_distribution() -> None:
    """0.2, 0.3, 0.5: the borders lie at 0.2 and 0.5."""
    logits = torch.tensor([0.2, 0.3, 0.5]).log().expand(5, 3)
    luck = torch.tensor([0.0, 0.19, 0.21, 0.51, 0.999], dtype=torch.float64)
    assert draw(logits, luck).tolist() == [0, 0, 1, 2, 2]


def test_stream_seeds_differ_by_every_word() -> None:
    seeds = {stream_seed(1, "a", 2), stream_seed(1, "a", 3), stream_seed(2, "a", 2)}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**53 for seed in seeds)


@pytest.mark.recipe
def test_replies_are_the_same_in_any_batch_and_end_where_they_end(chain: Chain) -> None:
    """One row at a time never leaves the cache; of twenty most do while the others go on."""
    tokenizer = load_tokenizer(chain.model("sft"))
    policy = load_policy(chain.model("sft"), tokenizer)
    policy.train(False)
    encoder = Encoder(tokenizer, 80)
    asked = [encoder.prompt(row["prompt"]) for row in prompts(20)]
    seeds = [stream_seed("test", number) for number in range(20)]

    def replies(size: int) -> list[list[int]]:
        roller = CachedRoller(
            policy,
            tokenizer,
            temperature=0.8,
            max_new_tokens=16,
            batch_size=size,
            autocast=nullcontext,
        )
        return roller.roll(asked, seeds)

    together, alone = replies(20), replies(1)
    assert together == alone
    ends = end_marks(policy)
    assert len({len(reply) for reply in together}) > 2
    for reply in together:
        assert 1 <= len(reply) <= 16
        assert not set(reply[:-1]) & set(ends)
        assert len(reply) == 16 or reply[-1] in ends


@pytest.mark.recipe
def test_every_token_is_drawn_in_the_precision_asked_for(chain: Chain) -> None:
    tokenizer = load_tokenizer(chain.model("sft"))
    policy = load_policy(chain.model("sft"), tokenizer)
    policy.train(False)
    kinds: list[torch.dtype] = []
    policy.lm_head.register_forward_hook(lambda *said: kinds.append(said[2].dtype))
    roller = CachedRoller(
        policy,
        tokenizer,
        temperature=1.0,
        max_new_tokens=4,
        batch_size=2,
        autocast=partial(torch.autocast, "cpu", torch.bfloat16),
    )
    roller.roll([Encoder(tokenizer, 80).prompt(row["prompt"]) for row in prompts(4)], range(4))
    assert set(kinds) == {torch.bfloat16}
