"""Drawing replies: padding and batches change nothing, the same seed gives the same reply."""

import math
from typing import Any

import pytest
import torch

from tests.training.recipes.conftest import Chain, message
from training.configs import SampleConfig
from training.recipes.data import Dropped
from training.recipes.generation import Drawn, choose, generate, load_sampler, pad_left
from training.recipes.loading import load_policy, load_tokenizer
from training.recipes.scoring import pad_right

pytestmark = pytest.mark.recipe
CONFIG = SampleConfig(device="cpu", max_length=96, max_new_tokens=10)


def _draw(logits: list[float], luck: float, **changes: float) -> tuple[int, float, float]:
    config = SampleConfig(**{"max_length": 96, "max_new_tokens": 10, **changes})
    token, drawn, plain = choose(torch.tensor([logits]), torch.tensor([luck]), config)
    return int(token), float(drawn), float(plain)


@pytest.mark.parametrize(("luck", "token"), [(0.0, 0), (0.49, 0), (0.51, 1), (0.74, 1), (0.76, 2)])
def test_choose_inverts_the_cumulative_distribution(luck: float, token: int) -> None:
    """Probabilities 1/2, 1/4, 1/4: borders at 0.5 and 0.75."""
    found, drawn, plain = _draw([math.log(2), 0.0, 0.0], luck)
    assert found == token
    assert drawn == plain == pytest.approx(math.log(0.5 if token == 0 else 0.25))


def test_choose_reports_both_log_probabilities() -> None:
    """At temperature 0.5 the odds 2:1:1 become 4:1:1, so the likeliest has 2/3 instead of 1/2."""
    found, drawn, plain = _draw([math.log(2), 0.0, 0.0], 0.1, temperature=0.5)
    assert found == 0
    assert drawn == pytest.approx(math.log(2 / 3))
    assert plain == pytest.approx(math.log(1 / 2))


def test_choose_cuts_to_top_k_and_top_p() -> None:
    """Of 4:3:2:1 the top 2 leave 4/7 and 3/7; a top-p of 0.5 needs two tokens, one of 0.4 one."""
    logits = [math.log(weight) for weight in (1, 2, 3, 4)]
    assert _draw(logits, 0.99, top_k=2)[0] == 3
    assert _draw(logits, 0.2, top_k=2)[1] == pytest.approx(math.log(3 / 7))
    assert _draw(logits, 0.2, top_p=0.5)[1] == pytest.approx(math.log(3 / 7))
    assert _draw(logits, 0.2, top_p=0.4)[:2] == (3, 0.0)


def test_choose_takes_the_likeliest_at_temperature_0() -> None:
    assert _draw([0.0, 1.0], 0.99, temperature=0, candidates_per_prompt=1)[:2] == (1, 0.0)


def test_padding_on_either_side_changes_no_logit(chain: Chain) -> None:
    path = chain.model("sft")
    tokenizer = load_tokenizer(path)
    model = load_policy(path, tokenizer)
    model.train(False)
    short, long = list(range(6, 12)), list(range(20, 40))
    with torch.no_grad():
        alone = model(input_ids=torch.tensor([short])).logits[0]
        ids, mask = pad_right([short, long], int(tokenizer.pad_token_id))
        right = model(input_ids=ids, attention_mask=mask).logits[0, : len(short)]
        ids, mask = pad_left([short, long], int(tokenizer.pad_token_id))
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        left = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits[0]
    assert torch.allclose(alone, right, atol=1e-4)
    assert torch.allclose(alone, left[-len(short) :], atol=1e-4)


def test_reply_depends_on_its_seed_and_not_on_its_batch(chain: Chain) -> None:
    sampler, encoder = load_sampler(chain.model("dpo"), CONFIG)
    prompts = [encoder.prompt([message("user", text)]) for text in ("red", "blue cat and dog", "x")]
    together = sampler.draw(prompts, [1, 2, 3])
    again = sampler.draw(prompts, [1, 2, 3])
    alone = [sampler.draw([ids], [seed])[0] for ids, seed in zip(prompts, (1, 2, 3), strict=True)]
    assert together == again
    assert [one.text for one in together] == [one.text for one in alone]
    assert sampler.draw(prompts[:1], [4])[0].text != together[0].text


def test_log_probability_is_that_of_one_pass_over_the_whole(chain: Chain) -> None:
    """What was added up token by token with a cache equals the score of the finished reply."""
    sampler, encoder = load_sampler(chain.model("dpo"), CONFIG)
    model, tokenizer = sampler._model, encoder.tokenizer
    head = encoder.prompt([message("user", "red")])
    drawn = sampler.draw([head, [*head, 20, 21]], [1, 2])[0]
    ends = [] if drawn.finish_reason == "length" else [tokenizer.eos_token_id]
    taken = _ids_of(sampler, head)
    assert taken[len(taken) - len(ends) :] == ends
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([head + taken])).logits[0].log_softmax(-1)
    rows = range(len(head) - 1, len(head) + len(taken) - 1)
    total = sum(float(logits[row, token]) for row, token in zip(rows, taken, strict=True))
    assert drawn.tokens == len(taken)
    assert drawn.logprob == pytest.approx(total, abs=1e-3)
    assert drawn.model_logprob == pytest.approx(total, abs=1e-3)


def _ids_of(sampler: Any, head: list[int]) -> list[int]:
    """The ids drawn for seed 1, read before they are decoded (bytes may not survive decoding)."""
    seen: list[int] = []
    original = sampler._drawn

    def listen(row: list[int], *rest: Any) -> Drawn:
        seen.extend(token for token in row if token >= 0)
        found: Drawn = original(row, *rest)
        return found

    sampler._drawn = listen
    sampler.draw([head], [1])
    return seen


def test_generate_answers_in_the_order_asked(chain: Chain) -> None:
    texts = ["red blue green", "red", "red blue"]
    together = generate(chain.model("dpo"), texts, CONFIG, seed=7)
    assert [one.seed for one in together] == [7, 8, 9]
    alone = generate(chain.model("dpo"), texts[:1], CONFIG, seed=7)
    assert together[0].text == alone[0].text


def test_generate_refuses_a_prompt_without_room(chain: Chain) -> None:
    with pytest.raises(Dropped, match="too_long"):
        generate(chain.model("dpo"), ["red " * 90], CONFIG, seed=1)
