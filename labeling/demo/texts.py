"""The sentences of the demo world: thirty subjects in ten topics, and the manners of replying.

Everything a reply can say stands here and in `subjects.txt`. The words are few and return often, so
that a model of about a million parameters learns to write them within minutes.
"""

from dataclasses import dataclass
from pathlib import Path

SUBJECTS_FILE = Path(__file__).with_name("subjects.txt")


@dataclass(frozen=True)
class Subject:
    """Something to ask about: its name, what the person wants to do, and the steps to do it."""

    topic: str
    name: str
    aim: str
    steps: tuple[str, ...]


def read_subjects(text: str) -> tuple[Subject, ...]:
    """Return the subjects of a text: `# topic` lines, then `name | aim | step | step | step`."""
    found: list[Subject] = []
    topic = ""
    for line in filter(None, text.splitlines()):
        if line.startswith("# "):
            topic = line[2:]
        else:
            name, aim, *steps = line.split(" | ")
            found.append(Subject(topic, name, aim, tuple(steps)))
    return tuple(found)


SUBJECTS = read_subjects(SUBJECTS_FILE.read_text(encoding="utf-8"))

# A question is one of these around an aim; the last two take two turns.
QUESTIONS: tuple[tuple[str, ...], ...] = (
    ("How do I {aim}?",),
    ("What is a good way to {aim}?",),
    ("Can you help me to {aim}?",),
    ("I want to {aim}. Where do I start?",),
    ("Please give me some tips to {aim}.",),
    ("My friend wants to {aim}. What should we know?",),
    ("I never tried to {aim}. Any ideas?",),
    ("What do I need to {aim}?",),
    ("Tell me how to {aim}.",),
    ("Is it hard to {aim}?",),
    ("I would like to {aim}. What comes first?",),
    ("Give me a plan to {aim}, please.",),
    ("Today I want to {aim}.", "Good plan. What do you need?", "Tell me the first steps."),
    ("I have to {aim}.", "Is it new to you?", "Yes. How do I start?"),
)

OPENERS: tuple[str, ...] = (
    "Happy to help!",
    "Good question!",
    "Of course!",
    "With pleasure!",
)

CLOSERS: tuple[str, ...] = (
    "Have fun!",
    "Good luck!",
    "I hope that helps.",
    "You can do it!",
)

CURT: tuple[str, ...] = (
    "No.",
    "Whatever.",
    "Look it up.",
    "Not now.",
)

RUDE: tuple[str, ...] = (
    "That is a stupid question.",
    "You are too lazy.",
    "Go away.",
    "Stop wasting my time.",
)

VAGUE: tuple[str, ...] = (
    "It depends.",
    "Maybe this, maybe that.",
    "There are many things.",
    "Who can say.",
)
