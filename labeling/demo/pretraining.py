"""The unrelated corpus that stands for pre-training: arithmetic, counting, letters and lists.

It knows the world's words but none of its sentences: words come alone, in lists, as often as the
world uses them, so that a tokenizer made from this corpus has a token for most of them.
"""

import random
import re
import string
from collections import Counter
from collections.abc import Callable
from functools import cache

from labeling.demo.texts import CLOSERS, CURT, OPENERS, QUESTIONS, RUDE, SUBJECTS, VAGUE

Message = dict[str, str]
Exercise = Callable[[random.Random], tuple[str, str]]

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@cache
def _words() -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the world's words with how often its texts use each."""
    texts = [*OPENERS, *CLOSERS, *CURT, *RUDE, *VAGUE]
    texts += [turn.replace("{aim}", "") for question in QUESTIONS for turn in question]
    texts += [step for subject in SUBJECTS for step in subject.steps]
    texts += [subject.aim for subject in SUBJECTS]
    counts = Counter(word for text in texts for word in re.findall(r"[A-Za-z]+", text))
    words = sorted(counts)
    return tuple(words), tuple(counts[word] for word in words)


def _draw(rng: random.Random, count: int) -> list[str]:
    words, weights = _words()
    return rng.choices(words, weights=weights, k=count)


def _joined(items: list[str]) -> str:
    return f"{', '.join(items)}."


def _sum(rng: random.Random) -> tuple[str, str]:
    a, b = rng.randrange(20), rng.randrange(20)
    return f"Add {a} and {b}.", f"{a} and {b} make {a + b}."


def _difference(rng: random.Random) -> tuple[str, str]:
    b, rest = rng.randrange(15), rng.randrange(15)
    return f"Take {b} from {b + rest}.", f"{b + rest} less {b} is {rest}."


def _count(rng: random.Random) -> tuple[str, str]:
    start, length = rng.randrange(1, 30), rng.randrange(3, 8)
    numbers = [str(number) for number in range(start, start + length)]
    return f"Count from {numbers[0]} to {numbers[-1]}.", _joined(numbers)


def _letters(rng: random.Random) -> tuple[str, str]:
    place = rng.randrange(22)
    after = list(string.ascii_lowercase[place + 1 : place + 5])
    return f"Letters after {string.ascii_lowercase[place]}?", _joined(after)


def _days(rng: random.Random) -> tuple[str, str]:
    place, length = rng.randrange(7), rng.randrange(2, 5)
    after = [DAYS[(place + step) % 7] for step in range(1, length + 1)]
    return f"{length} days after {DAYS[place]}?", _joined(after)


def _repeat(rng: random.Random) -> tuple[str, str]:
    words = _draw(rng, rng.randrange(5, 12))
    return f"Repeat the list: {_joined(words)}", _joined(words)


def _backwards(rng: random.Random) -> tuple[str, str]:
    words = _draw(rng, rng.randrange(3, 7))
    return f"Turn the list round: {_joined(words)}", _joined(words[::-1])


def _sort(rng: random.Random) -> tuple[str, str]:
    words = _draw(rng, rng.randrange(4, 8))
    return f"Sort the list: {_joined(words)}", _joined(sorted(words, key=str.lower))


# Lists are most of it: copying from the prompt is what a small model needs longest to learn.
EXERCISES: dict[Exercise, int] = {
    _sum: 8,
    _difference: 6,
    _count: 6,
    _letters: 4,
    _days: 4,
    _repeat: 40,
    _backwards: 16,
    _sort: 16,
}


def pretraining_demonstrations(seed: int, n: int) -> list[tuple[list[Message], str]]:
    """Return `n` exercises as (messages, reply); the same seed gives the same ones."""
    rng = random.Random(seed)
    drawn = rng.choices(list(EXERCISES), weights=list(EXERCISES.values()), k=n)
    texts = [exercise(rng) for exercise in drawn]
    return [([{"role": "user", "content": prompt}], reply) for prompt, reply in texts]
