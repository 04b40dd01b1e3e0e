"""The four models of PPO: padding changes nothing, dropout is off, the critic is the judge."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM, Gemma2Config, GraniteConfig

from tests.training.recipes.conftest import Chain, demonstrations
from training import rundir
from training.configs import PPOConfig
from training.recipes import actors as actors_module
from training.recipes.actors import (
    Actors,
    collate,
    log_probabilities,
    logits_of,
    trained,
    values_of,
    with_entropies,
    without_dropout,
)
from training.recipes.data import Encoder, Ids
from training.recipes.rollouts import end_marks
from training.recipes.scoring import suffix_of

pytestmark = [
    pytest.mark.recipe,
    # PEFT asks by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def actors(chain: Chain) -> Actors:
    """Policy, reference, reward model and critic of the chain."""
    return Actors(PPOConfig(), chain.model("sft"), chain.model("reward"), CPU, seed=1)


def _exchanges(actors: Actors) -> tuple[list[Ids], list[Ids]]:
    encoder = Encoder(actors.tokenizer, 96)
    pairs = [encoder.exchange(row["prompt"], row["completion"]) for row in demonstrations(6)]
    return [head[: 3 + n] for n, (head, _) in enumerate(pairs)], [
        tail[: 6 - n] for n, (_, tail) in enumerate(pairs)
    ]


@torch.no_grad()
def test_padding_changes_nothing(actors: Actors) -> None:
    heads, tails = _exchanges(actors)
    batch = collate(heads, tails, actors.tokenizer.pad_token_id, CPU)
    assert len(set(map(len, heads))) > 1
    assert len(set(map(len, tails))) > 1
    together, entropy = with_entropies(actors.policy, batch, 0.7)
    values = values_of(actors.critic, batch)
    for row, (head, tail) in enumerate(zip(heads, tails, strict=True)):
        alone = collate([head], [tail], actors.tokenizer.pad_token_id, CPU)
        size = len(tail)
        logprobs, own = with_entropies(actors.policy, alone, 0.7)
        assert torch.allclose(together[row, :size], logprobs[0], atol=1e-5)
        assert torch.allclose(entropy[row, :size], own[0], atol=1e-5)
        assert torch.allclose(values[row, :size], values_of(actors.critic, alone)[0], atol=1e-5)
        assert not together[row, size:].any()
        assert not values[row, size:].any()


@torch.no_grad()
def test_log_probabilities_are_those_of_the_softmax_at_the_temperature(actors: Actors) -> None:
    heads, tails = _exchanges(actors)
    head, tail = heads[0], tails[0]
    batch = collate([head], [tail], actors.tokenizer.pad_token_id, CPU)
    logits = actors.policy(input_ids=torch.tensor([head + tail])).logits[0].double() / 0.7
    expected = logits.log_softmax(-1)[len(head) - 1 : -1]
    logprobs, entropy = with_entropies(actors.policy, batch, 0.7)
    assert torch.equal(log_probabilities(actors.policy, batch, 0.7), logprobs)
    chosen = expected.gather(-1, torch.tensor(tail)[:, None]).squeeze(-1)
    assert torch.allclose(logprobs[0].double(), chosen, atol=1e-5)
    assert torch.allclose(entropy[0].double(), -(expected.exp() * expected).sum(-1), atol=1e-5)


@torch.no_grad()
def test_head_is_asked_for_the_replies_tokens_alone(actors: Actors) -> None:
    heads, tails = _exchanges(actors)
    batch = collate(heads, tails, actors.tokenizer.pad_token_id, CPU)
    count = sum(map(len, tails))
    assert batch.ids.shape == (6, max(len(h) + len(t) for h, t in zip(heads, tails, strict=True)))
    assert logits_of(actors.policy, batch, 1.0).shape[0] == count < batch.ids.numel()
    whole = actors.policy(input_ids=torch.tensor([heads[0] + tails[0]])).logits
    assert whole.shape[1] == len(heads[0] + tails[0]), "the hook is gone"


SMALL: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 24,
}


def _policy(kind: str) -> Any:
    """A policy with random weights; Granite divides its logits, Gemma 2 caps them."""
    torch.manual_seed(3)
    config: Any = GraniteConfig(**SMALL, logits_scaling=0.2)
    if kind == "gemma2":
        config = Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=0.5)
    factory: Any = AutoModelForCausalLM
    model = factory.from_config(config)
    if kind == "lora":
        adapters = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
        model = get_peft_model(model, adapters)
    return without_dropout(model).train(False)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["granite", "gemma2", "lora"])
def test_slices_say_what_the_whole_says(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Twelve states go through the head by five, by five, and the last two."""
    model = _policy(kind)
    prompts, replies = [[5, 6, 7], [8], [9, 10]], [[11, 12], [13, 14, 15, 16, 17, 18], [19] * 4]
    batch = collate(prompts, replies, 0, CPU)
    whole = with_entropies(model, batch, 0.7)
    seen: list[int] = []
    hook = model.get_output_embeddings().register_forward_hook(
        lambda _, given, __: seen.append(given[0].shape[1])
    )
    monkeypatch.setattr(actors_module, "AT_ONCE", 5)
    sliced = with_entropies(model, batch, 0.7)
    hook.remove()
    assert seen == [5, 5, 2]
    for one, other in zip(whole, sliced, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert torch.equal(log_probabilities(model, batch, 0.7), sliced[0])
    with torch.enable_grad():  # a backward pass takes the whole
        assert log_probabilities(model, batch, 0.7).requires_grad
    monkeypatch.undo()
    assert torch.equal(with_entropies(model, batch, 0.7)[0], whole[0]), "the trunk is its own"


@torch.no_grad()
def test_critic_begins_as_the_reward_model(actors: Actors) -> None:
    """The value after the last token is the score; the critic's weights are its own."""
    heads, tails = _exchanges(actors)
    scores = actors.score([head + tail for head, tail in zip(heads, tails, strict=True)])
    for head, tail, score in zip(heads, tails, scores, strict=True):
        batch = collate([head], [tail], actors.tokenizer.pad_token_id, CPU)
        assert actors.critic(**batch.inputs)[0, -1].item() == pytest.approx(score, abs=1e-5)
    judge = {id(weight) for weight in actors._judge.parameters()}
    assert not judge & {id(weight) for weight in actors.critic.parameters()}


def test_only_policy_and_critic_learn(actors: Actors) -> None:
    assert trained(actors.policy)
    assert trained(actors.critic)
    assert actors.reference is not actors.policy
    assert not trained(actors.reference)
    assert not trained(actors._judge)


def test_dropout_is_off_wherever_it_stands() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2))
    setattr(model[1], "attention_dropout", 0.3)  # noqa: B010 - as a model's own layer has it
    without_dropout(model).train()
    assert model[0].p == 0.0
    assert model[1].attention_dropout == 0.0
    once = torch.ones(1, 2)
    assert torch.equal(model(once), model(once))


def test_lora_may_share_the_judges_trunk(chain: Chain) -> None:
    config = PPOConfig(lora_r=2, share_value_trunk=True)
    actors = Actors(config, chain.model("sft"), chain.model("reward"), CPU, seed=1)
    assert actors.reference is None
    assert all("lora" in name for name in trained(actors.policy))
    heads, tails = _exchanges(actors)
    texts = [head + tail for head, tail in zip(heads, tails, strict=True)]
    before = actors.score(texts)
    with torch.no_grad():
        for weight in trained(actors.critic).values():
            weight.add_(0.5)
    assert actors.score(texts) == before


def test_policy_and_judge_must_read_the_same_tokens(chain: Chain, tmp_path: Path) -> None:
    for file in chain.model("reward").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    with pytest.raises(rundir.RunFolderError, match="reads other tokens"):
        Actors(PPOConfig(), chain.model("sft"), tmp_path, CPU, seed=1)


def test_what_a_template_writes_after_the_end_is_given_to_the_judge(
    actors: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = end_marks(actors.policy)
    assert suffix_of(Encoder(actors.tokenizer, 96), ends) == []
    template = str(actors.tokenizer.chat_template)
    ended = template.replace("'<|end|>' }}{% endfor", "'<|end|>' + ' so' }}{% endfor")
    assert ended != template
    monkeypatch.setattr(actors.tokenizer, "chat_template", ended)
    suffix = suffix_of(Encoder(actors.tokenizer, 96), ends)
    assert actors.tokenizer.decode(suffix) == " so"
