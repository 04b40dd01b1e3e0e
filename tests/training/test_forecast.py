"""Memory and time against numbers worked by hand, on a model of 6,288 weights."""

from dataclasses import replace
from typing import Any

import pytest

from tests.training.machines import SHAPE, TINY_WEIGHTS, machine
from training.configs import Config, parse_config
from training.forecast import RUNTIME_BYTES, Forecast, forecast, shape_from_scratch
from training.forecast_memory import SPARE, TILES, adapters, memory
from training.forecast_time import flops_of_pass
from training.model_shape import ModelShape, shape_from
from training.workload import Row, Texts, Workload, expected_longest, grouped_longest, workload

BASE = shape_from(SHAPE)
JUDGE = shape_from({**SHAPE, "architectures": ["LlamaForSequenceClassification"]})
TEXTS = Texts(train=(Row(prompt=4, replies=(6,)),) * 10)
RANKINGS = Texts(train=(Row(prompt=4, replies=(6, 2, 1, 1)),) * 10)
PROMPTS = Texts(train=(Row(prompt=4), Row(prompt=8)))


def config_of(recipe: str, **changes: Any) -> Config:
    return parse_config(recipe, {"device": "cpu", "max_length": 64, **changes})


def work_of(recipe: str, texts: Texts = TEXTS, **changes: Any) -> Workload:
    return workload(config_of(recipe, **changes), texts, BASE)


def said(recipe: str, texts: Texts = TEXTS, **changes: Any) -> Forecast:
    judge = JUDGE if recipe in ("ppo", "rloo", "grpo") else None
    return forecast(config_of(recipe, **changes), texts, BASE, judge, [machine()])


def part(name: str, recipe: str, texts: Texts = TEXTS, **changes: Any) -> float:
    return float(getattr(said(recipe, texts, **changes).memory, name))


def test_the_longest_of_a_batch() -> None:
    """Of 1, 2, 3 one has the mean 2; the longer of two is (1 + 2 x 3 + 3 x 5) / 9."""
    assert expected_longest([3, 1, 2], 1) == pytest.approx(2)
    assert expected_longest([3, 1, 2], 2) == pytest.approx(22 / 9)
    assert expected_longest([3, 1, 2], 1000) == pytest.approx(3)
    with pytest.raises(ValueError, match="no lengths"):
        expected_longest([], 1)


def test_the_longest_of_a_batch_of_rows_of_like_length() -> None:
    """1 2, 3 4 and 5 end in 2, 4 and 5; at random two of them end in 3.8."""
    assert grouped_longest([5, 1, 4, 2, 3], 2) == pytest.approx(11 / 3)
    with pytest.raises(ValueError, match="no lengths"):
        grouped_longest([], 2)
    rows = Texts(train=tuple(Row(prompt=0, replies=(length,)) for length in (5, 1, 4, 2, 3)))
    assert work_of("sft", rows, per_device_batch_size=2).typical == pytest.approx(3.8)
    grouped = work_of("sft", rows, per_device_batch_size=2, group_by_length=True)
    assert grouped.typical == pytest.approx(11 / 3)
    assert grouped.longest == 5


def test_steps_and_tokens_of_rows() -> None:
    """Ten rows in batches of 4 are 3 batches, two to a step: 2 steps an epoch."""
    found = work_of("sft", per_device_batch_size=4, gradient_accumulation=2, epochs=3)
    assert (found.steps, found.passes, found.tokens, found.peak_tokens) == (6, 2, 40, 40)
    assert work_of("sft", per_device_batch_size=4, max_steps=5).steps == 5
    assert work_of("sft", Texts(train=TEXTS.train, whole=1000), epochs=1).steps == 125


def test_a_comparison_is_all_its_candidates() -> None:
    """Four texts of at most 10 tokens apart, or one of 4 + 10 tokens together: that is less."""
    apart = work_of("reward", RANKINGS, per_device_batch_size=2, shared_prefix="never")
    assert (apart.sequences, apart.typical) == (8, 10)
    together = work_of("reward", RANKINGS, per_device_batch_size=2, shared_prefix="always")
    assert (together.sequences, together.typical) == (2, 14)
    assert work_of("reward", RANKINGS, per_device_batch_size=2) == together
    assert work_of("reward", RANKINGS, ensemble=3).steps == 3 * work_of("reward", RANKINGS).steps


def test_a_finished_reward_model_reads_what_it_is_centred_on() -> None:
    """Forty texts of 4 x 4 + 10 tokens a comparison, all of them fewer than 256; none without."""
    assert work_of("reward", RANKINGS).tested == 10 * 26
    assert work_of("reward", RANKINGS, zero_mean=False).tested == 0
    many = Texts(train=RANKINGS.train * 64)
    assert work_of("reward", many).tested == 64 * 26
    held = Texts(train=TEXTS.train, held=TEXTS.train)
    compared = Texts(train=RANKINGS.train, held=RANKINGS.train[:1])
    read = work_of("reward", compared, max_steps=9, eval_steps=4, ensemble=3)
    assert read.tested == 3 * (3 * 26 + 10 * 26)
    assert work_of("sft", held, max_steps=9, eval_steps=4).tested == 3 * 10 * 10


def test_replies_are_counted_as_long_as_they_may_be() -> None:
    """64 episodes in steps of 16: two drawings of 8, two passes of two parts of 8 each."""
    found = work_of(
        "ppo",
        PROMPTS,
        total_episodes=64,
        batch_size=16,
        per_device_batch_size=8,
        rollout_batch_size=8,
        inner_epochs=2,
        max_new_tokens=20,
    )
    assert (found.steps, found.passes, found.updates) == (4, 4, 2)
    assert (found.drawn, found.abreast, found.longest) == (16, 8, 28)
    assert found.kept == 8 * 21
    online = work_of(
        "rloo", PROMPTS, per_device_batch_size=8, replies_per_prompt=4, max_new_tokens=20, epochs=3
    )
    assert (online.steps, online.drawn, online.longest) == (3, 8, 28)


def test_weights_gradients_and_adam_are_four_four_and_eight_bytes() -> None:
    assert BASE.parameters == TINY_WEIGHTS
    assert part("weights", "sft") == 4 * TINY_WEIGHTS
    assert part("gradients", "sft") == 4 * TINY_WEIGHTS
    assert part("optimizer", "sft") == 8 * TINY_WEIGHTS
    assert part("optimizer", "sft", optimizer="rmsprop") == 4 * TINY_WEIGHTS


def test_lora_learns_its_adapters_alone() -> None:
    """r (in + out): q 32, k and v 24, o 32, gate, up and down 48, in two layers with r 4."""
    count = 2 * 4 * (32 + 24 + 24 + 32 + 48 + 48 + 48)
    assert adapters(BASE, 4, "all-linear") == count
    assert adapters(BASE, 4, "q_proj, v_proj") == 2 * 4 * (32 + 24)
    assert part("weights", "sft", lora_r=4) == 4 * (TINY_WEIGHTS + count)
    assert part("gradients", "sft", lora_r=4) == 4 * count
    assert part("models", "dpo", lora_r=4) == 0


def test_activations_by_hand() -> None:
    """6 h + 4 f + 4 q = 288 numbers and 10 of the mask a token and layer, 144 around; 40 tokens."""
    whole = part("activations", "sft", per_device_batch_size=4)
    assert whole == pytest.approx(SPARE * 40 * 4 * (2 * (288 + 10) + 3 * 16 + 3 * 32))
    again = part("activations", "sft", per_device_batch_size=4, gradient_checkpointing=True)
    assert again == pytest.approx(SPARE * 40 * 4 * ((288 + 10) + 2 * 16 + 3 * 16 + 3 * 32))


def test_logits_by_hand() -> None:
    """By tiles of 40 tokens and 100 words with TRL; none in a reward model; whole with PPO."""
    assert part("logits", "sft", per_device_batch_size=4) == pytest.approx(
        SPARE * 4 * (TILES * 40 * 100 + 1600)
    )
    assert part("logits", "reward", RANKINGS) == 0
    whole = part("logits", "ppo", PROMPTS, per_device_batch_size=8, max_new_tokens=20)
    assert whole == pytest.approx(SPARE * 4 * 4 * 8 * 21 * 100)


def test_models_that_only_answer() -> None:
    """DPO holds a reference, PPO a reference and a judge besides its two that learn."""
    judge = JUDGE.parameters
    assert judge == TINY_WEIGHTS + 16
    assert part("models", "sft") == 0
    assert part("models", "dpo") == 4 * TINY_WEIGHTS
    assert part("models", "dpo", precompute_ref_log_probs=True) == 0
    assert part("models", "ppo", PROMPTS, max_new_tokens=8) == 4 * (TINY_WEIGHTS + judge)
    assert part("optimizer", "ppo", PROMPTS, max_new_tokens=8) == 8 * (TINY_WEIGHTS + judge)
    assert part("models", "reward", RANKINGS, ensemble=3) == 2 * 4 * TINY_WEIGHTS


def test_all_members_of_a_judge_are_held_and_read() -> None:
    """Three of them; where the critic is the first one's trunk, the two others remain."""
    three = replace(JUDGE, members=3)

    def told(judge: ModelShape, recipe: str, **changes: Any) -> Forecast:
        config = config_of(recipe, max_new_tokens=8, **changes)
        return forecast(config, PROMPTS, BASE, judge, [machine()])

    one = 4 * JUDGE.parameters
    for recipe in ("ppo", "rloo", "grpo"):
        more = told(three, recipe).memory.models - told(JUDGE, recipe).memory.models
        assert more == 2 * one
    shared: dict[str, Any] = {"lora_r": 4, "share_value_trunk": True}
    assert told(JUDGE, "ppo", **shared).memory.models == 0
    assert told(three, "ppo", **shared).memory.models == 2 * one
    # The reference, as large as a judge, reads the replies too: four readers for two.
    alone, all_three = (told(judge, "rloo").on[0].duration for judge in (JUDGE, three))
    assert alone is not None
    assert all_three is not None
    assert all_three.judging == pytest.approx(2 * alone.judging)


def test_keys_and_values_of_replies() -> None:
    """Two numbers of width 8, in two layers and once more, for 4 replies of 8 + 20 tokens."""
    found = memory(
        config_of("ppo", max_new_tokens=20, rollout_batch_size=4),
        work_of("ppo", PROMPTS, max_new_tokens=20, rollout_batch_size=4),
        BASE,
        JUDGE,
        runtime=0,
    )
    prompt = expected_longest([4, 8], 4)
    assert found.cache == 2 * 8 * 4 * 4 * (int(prompt) + 1 + 20) * 3


def test_flops_of_a_pass() -> None:
    """6 a weight of the matrices, and 12 q times the length for attention, by layer."""
    assert BASE.layer_matrices == 2304
    assert flops_of_pass(BASE, 40, 10) == 40 * 2 * (6 * 2304 + 12 * 16 * 10)


def test_time_by_hand() -> None:
    """At 1 GFLOP/s, a layer 1 ms: two steps of one pass over 40 tokens, and 5 s to come up."""
    found = said("sft", per_device_batch_size=4, max_steps=2).on[0].duration
    assert found is not None
    layers = 2 * 0.001 + flops_of_pass(BASE, 40, 10) / 1e9
    output = 40 * 100 * 1e-9 + 8 * 1600 * 40 / 1e9
    assert found.start == 5
    assert found.learning == pytest.approx(2 * (layers + output))
    assert found.optimizer == pytest.approx(2 * TINY_WEIGHTS * 1e-9)
    assert found.total == pytest.approx(found.start + found.learning + found.optimizer)


def test_drawing_and_judging_take_time() -> None:
    found = said("ppo", PROMPTS, max_new_tokens=20).on[0].duration
    assert found is not None
    assert min(found.drawing, found.judging) > 0
    longer = said("ppo", PROMPTS, max_new_tokens=40).on[0].duration
    assert longer is not None
    assert longer.drawing > 1.9 * found.drawing


def test_a_precision_that_was_not_measured_has_no_time() -> None:
    found = said("sft", precision="bf16")
    assert found.on[0].duration is None
    assert found.memory.total > 0


def test_processes_share_a_cpu() -> None:
    one, two = said("sft", processes=1).on[0], said("sft", processes=2).on[0]
    assert two.takes_bytes == 2 * two.memory.total
    assert one.takes_bytes == one.memory.total


def test_without_a_machine_the_memory_is_told() -> None:
    found = forecast(config_of("sft"), TEXTS, BASE, None, [])
    assert found.on == ()
    assert found.memory.runtime == RUNTIME_BYTES


def test_a_model_from_scratch_has_the_shape_of_its_config() -> None:
    config: Any = config_of("sft", init="scratch", hidden_size=16, heads=2, kv_heads=1, layers=2)
    shape = shape_from_scratch(config, vocabulary=100)
    assert (shape.vocabulary, shape.keys, shape.tied) == (100, 8, True)
    assert isinstance(shape, ModelShape)


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="no rows"):
        work_of("sft", Texts(train=()))
