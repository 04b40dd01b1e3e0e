"""The hidden score: its scale, what it is made of, and that it can't be talked up."""

import random
import statistics
from collections.abc import Callable

import pytest

from labeling.demo import gold, texts, world
from labeling.demo.world import DemoPrompt

Generator = Callable[[DemoPrompt, random.Random], str]

RICE = next(prompt for prompt in world.prompts() if prompt.key == "cooking/rice/1")
GOOD = "Happy to help! Wash the rice in cold water. Let the rice rest under a lid. Have fun!"


def _model_like(prompt: DemoPrompt, rng: random.Random) -> str:
    """A reply as a small model spoils it: words lost, cut short, halves joined, subjects mixed."""
    good, bad = world.good_reply(prompt, rng).split(), world.bad_reply(prompt, rng).split()
    kind = rng.randrange(4)
    if kind == 0:
        near = rng.choice([p for p in world.prompts() if p.topic == prompt.topic])
        return world.good_reply(near, rng)
    if kind == 1:
        return " ".join(good[: rng.randrange(len(good))] + bad[rng.randrange(len(bad)) :])
    words = rng.choice((good, bad))
    if kind == 2:
        return " ".join(word for word in words if rng.random() > 0.15)
    return " ".join(words[: rng.randrange(1, len(words) + 1)])


def _share_explained(scores: list[float], values: list[float]) -> float:
    if len(set(values)) == 1:
        return 0.0
    return statistics.correlation(scores, values) ** 2


def _draw(
    generator: Generator, prompts: list[DemoPrompt], rng: random.Random
) -> list[tuple[DemoPrompt, str]]:
    return [(prompt, generator(prompt, rng)) for prompt in prompts]


def _mean(drawn: list[tuple[DemoPrompt, str]]) -> float:
    return statistics.mean(gold.gold_score(prompt.messages, reply) for prompt, reply in drawn)


def test_gold_score_is_zero_for_the_bad_generator_and_one_for_the_good_one() -> None:
    """1,260 new draws each: deviations of 0.42 and 0.13 leave errors of 0.012 and 0.004."""
    rng = random.Random(99)
    assert _mean(_draw(world.bad_reply, world.prompts() * 3, rng)) == pytest.approx(0, abs=0.05)
    assert _mean(_draw(world.good_reply, world.prompts() * 3, rng)) == pytest.approx(1, abs=0.02)


def test_gold_score_puts_good_above_bad() -> None:
    rng = random.Random(7)
    wins = [
        gold.gold_score(p.messages, world.good_reply(p, rng))
        > gold.gold_score(p.messages, world.bad_reply(p, rng))
        for p in world.prompts() * 3
    ]
    assert statistics.mean(wins) >= 0.95


@pytest.mark.parametrize("with_model_like", [True, False])
def test_features_none_explains_more_than_six_tenths_of_the_score(with_model_like: bool) -> None:
    rng = random.Random(11)
    kinds = [world.good_reply, world.bad_reply] + [_model_like] * with_model_like
    drawn = [pair for kind in kinds for pair in _draw(kind, world.prompts() * 2, rng)]
    scores = [gold.gold_score(prompt.messages, reply) for prompt, reply in drawn]
    found = [gold.features(prompt.messages, reply) for prompt, reply in drawn]
    explained = {
        name: _share_explained(scores, [row[name] for row in found]) for name in gold.WEIGHTS
    }
    assert len(explained) >= 3
    assert max(explained.values()) <= 0.6, explained
    assert sum(share >= 0.2 for share in explained.values()) >= 3, explained


def test_weights_sum_to_one_and_bound_the_score() -> None:
    """With every feature at 1 the weighed sum is 1: the highest score anything can have."""
    assert sum(gold.WEIGHTS.values()) == pytest.approx(1)
    assert (1 - gold.BAD_MEAN) / (gold.GOOD_MEAN - gold.BAD_MEAN) <= gold.CEILING


@pytest.mark.parametrize(
    "reply",
    [
        "rice " * 30,
        "Rice! Rice! Rice!",
        "rice water lid boil wash minutes cold rest soup salt.",
        " ".join((*texts.OPENERS, *texts.CLOSERS)),
        "Happy to help! Wash rice rice rice. Boil rice rice rice. Have fun!",
        f"Happy to help! {' '.join(RICE.subject.steps * 4)} Have fun!",
        f"Happy to help! {' '.join(step for s in texts.SUBJECTS for step in s.steps)}",
        "",
        "???",
    ],
)
def test_gold_score_gives_no_contrived_text_what_an_honest_one_gets(reply: str) -> None:
    assert gold.gold_score(RICE.messages, reply) <= gold.gold_score(RICE.messages, GOOD) - 0.3


def test_gold_score_falls_with_each_fault() -> None:
    """From one good reply: another subject, an insult, a repeated sentence, no end, one step."""
    best = gold.gold_score(RICE.messages, GOOD)
    soup = "Happy to help! Cut the onions for the soup. Heat the soup in a big pot. Have fun!"
    worse = [
        soup,
        GOOD.replace("Happy to help!", "Go away."),
        GOOD.replace("Let the rice rest under a lid.", "Wash the rice in cold water."),
        GOOD.removesuffix(" Have fun!").removesuffix("."),
        GOOD.replace(" Let the rice rest under a lid.", ""),
    ]
    assert all(gold.gold_score(RICE.messages, reply) < best for reply in worse)


def test_features_worked_by_hand() -> None:
    """Two steps of two that name rice; greeted and closed; no three words twice; 18 words.

    With "Go away." in front in place of the greeting: warmth 0.4 + 0.3 - 0.4 = 0.3.
    """
    assert gold.features(RICE.messages, GOOD) == dict.fromkeys(gold.WEIGHTS, 1.0)
    rude = gold.features(RICE.messages, GOOD.replace("Happy to help!", "Go away."))
    assert rude["warmth"] == pytest.approx(0.3)
    assert rude["on_topic"] == 1.0


def test_features_of_the_topic_count_less_than_those_of_the_subject() -> None:
    """One sentence of two on rice, one on soup, which shares the topic: (1 + 0.3) / 2 = 0.65."""
    mixed = "Wash the rice in cold water. Heat the soup in a big pot."
    assert gold.features(RICE.messages, mixed)["on_topic"] == pytest.approx(0.65)


def test_variety_worked_by_hand() -> None:
    """`go up now go up now`: runs go-up-now, up-now-go, now-go-up, go-up-now: (3 / 4) ** 2."""
    assert gold.features(RICE.messages, "Go up now go up now.")["variety"] == pytest.approx(0.5625)


def test_length_worked_by_hand() -> None:
    """5 words of 10 wanted: 0.5; 60 words where 40 are enough: 2 - 60 / 40 = 0.5."""
    assert gold.features(RICE.messages, "a b c d e")["length"] == pytest.approx(0.5)
    assert gold.features(RICE.messages, "a " * 60)["length"] == pytest.approx(0.5)


def test_gold_score_of_a_strange_prompt_reads_its_own_words() -> None:
    messages = [{"role": "user", "content": "How do volcanoes erupt?"}]
    near, far = "Hot rock pushes volcanoes open.", "Hot rock pushes something open."
    assert gold.gold_score(messages, near) > gold.gold_score(messages, far)


def test_rank_by_gold_puts_equal_replies_in_one_tier() -> None:
    assert gold.rank_by_gold(RICE.messages, ["Go away.", GOOD, "Go away."]) == [[1], [0, 2]]


def test_noisy_order_without_noise_is_the_gold_order() -> None:
    assert gold.noisy_order([0.1, 0.9, 0.1, 0.5], 0.0, random.Random(1)) == [[1], [3], [0, 2]]


def test_noisy_order_with_certain_noise_carries_the_best_to_the_end() -> None:
    """One pass that always swaps: 0 1 2 3 -> 1 0 2 3 -> 1 2 0 3 -> 1 2 3 0."""
    order = gold.noisy_order([0.9, 0.7, 0.5, 0.3], 1.0, random.Random(1))
    assert order == [[1], [2], [3], [0]]


def test_noisy_order_loses_the_expected_share_of_pairs() -> None:
    """K = 4, noise 0.1: 3 neighbouring pairs are looked at, each swap turns one of 6 pairs round.

    3 x 0.1 / 6 = 0.05 of the pairs are lost. Over 4,000 orders the number of swaps has mean 1,200
    and deviation sqrt(12,000 x 0.1 x 0.9) = 33; the bounds are four deviations wide.
    """
    rng = random.Random(2)
    scores = [0.9, 0.7, 0.5, 0.3]
    counted = [gold.agreeing_pairs(gold.noisy_order(scores, 0.1, rng), scores) for _ in range(4000)]
    turned = sum(put - agreeing for agreeing, put in counted)
    assert sum(put for _, put in counted) == 24_000
    assert abs(turned - 1200) <= 4 * 33


def test_pair_agreement_leaves_ties_out() -> None:
    """Scores 3, 2, 2, 1, order 1 0 (2 3): of the pairs 01 is wrong, 02 03 13 right, 12 23 ties."""
    order = [[1], [0], [2, 3]]
    assert gold.agreeing_pairs(order, [3, 2, 2, 1]) == (3, 4)
    assert gold.pair_agreement(order, [3, 2, 2, 1]) == pytest.approx(0.75)


def test_pair_agreement_of_nothing_but_ties_is_whole() -> None:
    assert gold.pair_agreement([[0, 1]], [0.5, 0.5]) == 1.0


def test_parameters_hash_follows_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gold.WEIGHTS, "warmth", 0.5)
    assert gold._parameters_hash() != gold.GOLD_VERSION
