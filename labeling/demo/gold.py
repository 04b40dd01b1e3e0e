"""The hidden score of the demo world: it plays the annotators and measures whether training worked.

Seven features of a reply, each between 0 and 1, are weighed and summed; the sum is then moved and
stretched so that the bad generator's mean is 0 and the good one's is 1. Because every feature is
bounded, no text, however contrived, reaches more than `CEILING` on that scale. Nothing in training
sees this module.
"""

import hashlib
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise

from labeling.demo.texts import CLOSERS, CURT, OPENERS, RUDE, SUBJECTS, VAGUE, Subject
from labeling.demo.world import WORLD_VERSION, Message, bad_reply, good_reply, prompts
from labeling.domain.rankings import ranks_from_tiers, tiers_from_ranks

Tiers = list[list[int]]

# What each feature counts for: manners, sense and no repetition most, as with a person, and so that
# none of them alone explains most of the score.
WEIGHTS: dict[str, float] = {
    "on_topic": 0.24,
    "warmth": 0.28,
    "concreteness": 0.08,
    "variety": 0.28,
    "legibility": 0.05,
    "length": 0.04,
    "ending": 0.03,
}
CEILING = 1.2
# Replies whose scores fall on the same step of this width are a tie: no person tells them apart.
JUST_NOTICEABLE = 0.1
ENOUGH_STEPS = 2
LEGIBLE_STEP = 0.7
LENGTH_RANGE = (10, 40)


@dataclass(frozen=True)
class Reply:
    """A reply taken apart once: its sentences and words, in lower case, and what was asked."""

    text: str
    sentences: tuple[str, ...]
    words: tuple[str, ...]
    wanted: frozenset[str]
    related: frozenset[str]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"(?<=[.!?])", text.lower()) if part.strip()]


_PHRASES = (*OPENERS, *CLOSERS, *CURT, *RUDE, *VAGUE)
_STEPS = tuple(step for subject in SUBJECTS for step in subject.steps)
_ACTIONS = frozenset(_words(step)[0] for step in _STEPS)
_STOCK = frozenset(sentence for phrase in _PHRASES for sentence in _sentences(phrase))
_FILLER = frozenset(
    _words(
        "a an and are at be before by first for how in is it my of off on or the to when with your"
        " like please some start steps tell tips today want wants way we would"
        f" {' '.join(_PHRASES)}"
    )
)


def _bigrams(text: str) -> list[tuple[str, str]]:
    """Return neighbouring words, sentence by sentence, with `^` before the first of each."""
    return [pair for sentence in _sentences(text) for pair in pairwise(["^", *_words(sentence)])]


_KNOWN_BIGRAMS = frozenset(pair for text in (*_PHRASES, *_STEPS) for pair in _bigrams(text))


@cache
def _content_words(subject: Subject) -> frozenset[str]:
    return frozenset(word for step in subject.steps for word in _words(step)) - _FILLER


def _asked(messages: Sequence[Message]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words that name what was asked, and those that belong to its topic."""
    said = " ".join(m["content"] for m in messages if m["role"] == "user")
    for subject in SUBJECTS:
        if f" {subject.aim}" in said:
            of_topic = (_content_words(s) for s in SUBJECTS if s.topic == subject.topic)
            return frozenset({subject.name.lower()}), frozenset().union(*of_topic)
    words = frozenset(_words(said)) - _FILLER
    return words, words


def _on_topic(reply: Reply) -> float:
    """Mean over the sentences that are no stock phrases: 1 names the subject, 0.3 the topic."""
    spoken = [set(_words(s)) for s in reply.sentences if s not in _STOCK]
    points = [1.0 if s & reply.wanted else 0.3 if s & reply.related else 0.0 for s in spoken]
    return sum(points) / len(points) if points else 0.0


def _warmth(reply: Reply) -> float:
    """0.4, and 0.3 for a friendly opening and for a friendly close; rude takes 0.4, curt 0.2."""
    friendly = sum(any(phrase in reply.text for phrase in kind) for kind in (OPENERS, CLOSERS))
    rude = sum(phrase in reply.text for phrase in RUDE)
    curt = sum(phrase in reply.text for phrase in CURT)
    return min(1.0, max(0.0, 0.4 + 0.3 * friendly - 0.4 * rude - 0.2 * curt))


def _known_share(text: str) -> float:
    found = _bigrams(text)
    return sum(pair in _KNOWN_BIGRAMS for pair in found) / len(found) if found else 0.0


def _is_step(sentence: str) -> bool:
    """Whether a sentence begins with an action, has four words or more, and is no word salad."""
    words = _words(sentence)
    return len(words) > 3 and words[0] in _ACTIONS and _known_share(sentence) >= LEGIBLE_STEP


def _concreteness(reply: Reply) -> float:
    """Different sentences that are a step to take; two are enough."""
    return min(1.0, len({s for s in reply.sentences if _is_step(s)}) / ENOUGH_STEPS)


def _variety(reply: Reply) -> float:
    """Share of runs of three words that are said for the first time, squared."""
    runs = list(zip(reply.words, reply.words[1:], reply.words[2:], strict=False))
    return (len(set(runs)) / len(runs)) ** 2 if runs else 1.0


def _legibility(reply: Reply) -> float:
    """Share of pairs of neighbouring words that the world's own sentences have."""
    return _known_share(reply.text)


def _length(reply: Reply) -> float:
    """1 within the range of words that is pleasant to read, falling to 0 on both sides."""
    low, high = LENGTH_RANGE
    count = len(reply.words)
    return min(1.0, count / low, max(0.0, 2 - count / high))


def _ending(reply: Reply) -> float:
    return float(reply.text.rstrip().endswith((".", "!", "?")))


_FEATURES: dict[str, Callable[[Reply], float]] = {
    "on_topic": _on_topic,
    "warmth": _warmth,
    "concreteness": _concreteness,
    "variety": _variety,
    "legibility": _legibility,
    "length": _length,
    "ending": _ending,
}


def features(messages: Sequence[Message], reply: str) -> dict[str, float]:
    """Return the seven features of a reply to a conversation, each between 0 and 1."""
    wanted, related = _asked(messages)
    parts = Reply(reply, tuple(_sentences(reply)), tuple(_words(reply)), wanted, related)
    return {name: measure(parts) for name, measure in _FEATURES.items()}


def _weighed(messages: Sequence[Message], reply: str) -> float:
    return sum(WEIGHTS[name] * value for name, value in features(messages, reply).items())


def _anchors() -> tuple[float, float]:
    """Return the mean weighed sum of the bad and of the good generator, 4 draws a prompt each."""
    rng = random.Random(0)
    drawn = [prompt for prompt in prompts() for _ in range(4)]
    bad = sum(_weighed(p.messages, bad_reply(p, rng)) for p in drawn) / len(drawn)
    good = sum(_weighed(p.messages, good_reply(p, rng)) for p in drawn) / len(drawn)
    return bad, good


BAD_MEAN, GOOD_MEAN = _anchors()


def gold_score(messages: Sequence[Message], reply: str) -> float:
    """Return how good a reply is: 0 is the bad generator's mean, 1 the good one's."""
    return (_weighed(messages, reply) - BAD_MEAN) / (GOOD_MEAN - BAD_MEAN)


@cache
def _world() -> frozenset[str]:
    return frozenset(json.dumps(prompt.messages) for prompt in prompts())


def has_gold(messages: Sequence[Message]) -> bool:
    """Return whether the score is meant for this conversation: one of the world's own prompts."""
    plain = [{"role": one["role"], "content": one["content"]} for one in messages]
    return json.dumps(plain) in _world()


def tiers_of(scores: Sequence[float]) -> Tiers:
    """Return the order of scores as tiers of positions, best first.

    Scores are rounded to steps of `JUST_NOTICEABLE`; the same step is the same tier.
    """
    return tiers_from_ranks([-round(score / JUST_NOTICEABLE) for score in scores])


def rank_by_gold(messages: Sequence[Message], replies: Sequence[str]) -> Tiers:
    """Return the replies' order by gold, as tiers of their positions."""
    return tiers_of([gold_score(messages, reply) for reply in replies])


def noisy_order(scores: Sequence[float], noise: float, rng: random.Random) -> Tiers:
    """Return the scores' tiers after one pass that swaps neighbours with probability `noise`.

    The pass goes from the best down, each neighbouring pair once, so that a tier that was swapped
    down meets the next one too. Each swap turns the pairs between two tiers round: without ties,
    K replies lose on average (K - 1) noise of their K(K-1)/2 pairs, a share of 2 noise / K.
    """
    tiers = tiers_of(scores)
    for place in range(len(tiers) - 1):
        if rng.random() < noise:
            tiers[place], tiers[place + 1] = tiers[place + 1], tiers[place]
    return tiers


def agreeing_pairs(order: Sequence[Sequence[int]], scores: Sequence[float]) -> tuple[int, int]:
    """Return (pairs that the order and the scores put the same way, pairs that both put).

    A pair that either of them holds for a tie is in neither number.
    """
    ranks, true = ranks_from_tiers(order), ranks_from_tiers(tiers_of(scores))
    put = [
        (ranks[b] - ranks[a]) * (true[b] - true[a]) for a, b in combinations(range(len(scores)), 2)
    ]
    return sum(value > 0 for value in put), sum(value != 0 for value in put)


def pair_agreement(order: Sequence[Sequence[int]], scores: Sequence[float]) -> float:
    """Return the share of pairs that the order puts as the scores do; 1 where all is a tie."""
    agreeing, put = agreeing_pairs(order, scores)
    return agreeing / put if put else 1.0


def _parameters_hash() -> str:
    """Hash everything a score follows from: the world, the weights, and what features come to."""
    rng = random.Random(1)
    seen = [features(p.messages, bad_reply(p, rng)) for p in prompts()[::7]]
    content = [WORLD_VERSION, WEIGHTS, JUST_NOTICEABLE, f"{BAD_MEAN:.9f}", f"{GOOD_MEAN:.9f}", seen]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


GOLD_VERSION = _parameters_hash()
