"""The four models of PPO: padding changes nothing, dropout is off, the critic is the judge."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.training.recipes.conftest import Chain, demonstrations
from training import rundir
from training.configs import PPOConfig
from training.recipes.actors import (
    Actors,
    collate,
    log_probabilities,
    trained,
    values_of,
    without_dropout,
)
from training.recipes.data import Encoder, Ids
from training.recipes.ppo import suffix_of

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
def test_padding_on_either_side_changes_nothing(actors: Actors) -> None:
    heads, tails = _exchanges(actors)
    batch = collate(heads, tails, actors.tokenizer.pad_token_id, CPU)
    assert len(set(map(len, heads))) > 1
    assert len(set(map(len, tails))) > 1
    together, entropy = log_probabilities(actors.policy, batch, 0.7)
    values = values_of(actors.critic, batch)
    for row, (head, tail) in enumerate(zip(heads, tails, strict=True)):
        alone = collate([head], [tail], actors.tokenizer.pad_token_id, CPU)
        size = len(tail)
        logprobs, own = log_probabilities(actors.policy, alone, 0.7)
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
    logprobs, entropy = log_probabilities(actors.policy, batch, 0.7)
    chosen = expected.gather(-1, torch.tensor(tail)[:, None]).squeeze(-1)
    assert torch.allclose(logprobs[0].double(), chosen, atol=1e-5)
    assert torch.allclose(entropy[0].double(), -(expected.exp() * expected).sum(-1), atol=1e-5)


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
    assert suffix_of(Encoder(actors.tokenizer, 96), actors) == []
    template = str(actors.tokenizer.chat_template)
    ended = template.replace("'<|end|>' }}{% endfor", "'<|end|>' + ' so' }}{% endfor")
    assert ended != template
    monkeypatch.setattr(actors.tokenizer, "chat_template", ended)
    suffix = suffix_of(Encoder(actors.tokenizer, 96), actors)
    assert actors.tokenizer.decode(suffix) == " so"
