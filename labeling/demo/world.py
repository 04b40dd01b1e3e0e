"""The demo world: prompts, and good and bad replies to them that anyone can tell apart.

A good reply is polite, stays with what was asked and names concrete steps. A bad one is curt, rude,
off topic, repetitive, vague or breaks off, yet often right or friendly otherwise, so that between
the best and the worst there is something of everything. All draws come from the caller's
generator: the same seed gives the same world.
"""

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from labeling.demo.pretraining import pretraining_demonstrations as pretraining_demonstrations
from labeling.demo.texts import CLOSERS, CURT, OPENERS, QUESTIONS, RUDE, SUBJECTS, VAGUE, Subject

Message = dict[str, str]
BadKind = Callable[[Subject, random.Random], list[str]]


@dataclass(frozen=True)
class DemoPrompt:
    """One prompt of the world; `key` is stable and unique, `messages` end in a user turn."""

    key: str
    messages: list[Message] = field(hash=False)
    topic: str
    tags: tuple[str, ...]
    subject: Subject


@cache
def _all_prompts() -> tuple[DemoPrompt, ...]:
    return tuple(
        _prompt(subject, number) for subject in SUBJECTS for number in range(len(QUESTIONS))
    )


def _prompt(subject: Subject, number: int) -> DemoPrompt:
    turns = [turn.format(aim=subject.aim) for turn in QUESTIONS[number]]
    roles = ("user", "assistant", "user")
    messages = [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=False)]
    length = "two-turn" if len(turns) > 1 else "single-turn"
    key = f"{subject.topic}/{subject.name.lower()}/{number + 1}"
    return DemoPrompt(key, messages, subject.topic, (subject.topic, length), subject)


def prompts() -> list[DemoPrompt]:
    """Return every prompt of the world, always in the same order: subjects times questions."""
    return list(_all_prompts())


def held_out(prompt: DemoPrompt) -> bool:
    """Return whether the prompt is kept from demonstrations and labelling: two of each subject.

    Every subject and every question is seen elsewhere; only this meeting of the two is new.
    """
    number = int(prompt.key.rsplit("/", 1)[1]) - 1
    half = len(QUESTIONS) // 2
    return number % half == SUBJECTS.index(prompt.subject) % half


def good_reply(prompt: DemoPrompt, rng: random.Random) -> str:
    """Return a reply that is polite, on topic and concrete: one to three steps, mostly greeted."""
    count = rng.choices((1, 2, 3), weights=(10, 50, 40))[0]
    sentences = _steps(prompt.subject, count, rng)
    if rng.random() < 0.9:
        sentences.insert(0, rng.choice(OPENERS))
    if rng.random() < 0.8:
        sentences.append(rng.choice(CLOSERS))
    return " ".join(sentences)


def bad_reply(prompt: DemoPrompt, rng: random.Random) -> str:
    """Return a reply with one of seven faults; some of them are right or friendly otherwise."""
    kind = rng.choices(list(BAD_KINDS), weights=list(BAD_KINDS.values()))[0]
    return " ".join(kind(prompt.subject, rng))


def _steps(subject: Subject, count: int, rng: random.Random) -> list[str]:
    """Return `count` different steps of the subject in the order in which they are taken."""
    chosen = sorted(rng.sample(range(len(subject.steps)), count))
    return [subject.steps[place] for place in chosen]


def _stranger(subject: Subject, rng: random.Random) -> Subject:
    return rng.choice([other for other in SUBJECTS if other.topic != subject.topic])


def _maybe(share: float, sentences: tuple[str, ...], rng: random.Random) -> list[str]:
    return [rng.choice(sentences)] if rng.random() < share else []


def _curt(subject: Subject, rng: random.Random) -> list[str]:
    return _maybe(0.2, subject.steps, rng) + rng.sample(CURT, rng.choice((1, 1, 2)))


def _rude(subject: Subject, rng: random.Random) -> list[str]:
    return _maybe(0.3, VAGUE, rng) + rng.sample(RUDE, rng.choice((1, 2, 2)))


def _rude_but_right(subject: Subject, rng: random.Random) -> list[str]:
    insults = rng.sample(RUDE, 2)
    return [insults[0], *_steps(subject, rng.choice((2, 3)), rng), *insults[1 : rng.choice((1, 2))]]


def _off_topic(subject: Subject, rng: random.Random) -> list[str]:
    steps = _steps(_stranger(subject, rng), rng.choice((2, 3)), rng)
    return _maybe(0.8, OPENERS, rng) + steps + _maybe(0.6, CLOSERS, rng)


def _repetitive(subject: Subject, rng: random.Random) -> list[str]:
    about = subject if rng.random() < 0.8 else _stranger(subject, rng)
    repeated = _steps(about, 1, rng) * rng.choice((3, 4))
    return _maybe(0.6, OPENERS, rng) + repeated + _maybe(0.4, CLOSERS, rng)


def _vague(subject: Subject, rng: random.Random) -> list[str]:
    nothing = rng.sample(VAGUE, rng.choice((2, 3)))
    return _maybe(0.7, OPENERS, rng) + nothing + _maybe(0.5, CLOSERS, rng)


def _broken_off(subject: Subject, rng: random.Random) -> list[str]:
    first, second = _steps(subject, 2, rng)
    return [first, " ".join(second.split()[: rng.choice((1, 2, 3))])]


# Each kind of bad reply and how often it is drawn.
BAD_KINDS: dict[BadKind, int] = {
    _curt: 10,
    _rude: 12,
    _rude_but_right: 24,
    _off_topic: 18,
    _repetitive: 20,
    _vague: 10,
    _broken_off: 6,
}


def mixed_demonstrations(seed: int, per_prompt: int = 4) -> list[tuple[DemoPrompt, str]]:
    """Return shuffled replies to every prompt that is not held out, half good and half bad.

    A policy that imitates them is what training on preferences has to improve.
    """
    rng = random.Random(seed)
    shown = [prompt for prompt in prompts() if not held_out(prompt)]
    kinds = (good_reply, bad_reply)
    pairs = [(p, kinds[number % 2](p, rng)) for p in shown for number in range(per_prompt)]
    rng.shuffle(pairs)
    return pairs


def _content_hash() -> str:
    """Hash what the world says: its prompts, and what a fixed seed draws from each generator."""
    rng = random.Random(0)
    content = [
        [[p.key, p.messages, p.tags, held_out(p), good_reply(p, rng), bad_reply(p, rng)]
         for p in prompts()],
        [[prompt.key, reply] for prompt, reply in mixed_demonstrations(0, 2)],
        pretraining_demonstrations(0, 200),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


WORLD_VERSION = _content_hash()
